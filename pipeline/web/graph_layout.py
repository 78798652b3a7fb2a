"""Where the boxes of a graph of steps go: rows by dependency, from top to bottom.

The classic way in layers (Sugiyama, Tagawa and Toda, 1981): a box stands one row below the last thing
that it needs; an edge over several rows runs through a gap in each, and the edges out of one box share
those gaps as one trunk; the order within a row follows the neighbours until crossings stop going down;
last, every row is moved as near to its neighbours as its order allows.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

_SWEEPS = 12
_TRUNK_WEIGHT = 8.0  # how much more a trunk wants to be straight than a box wants to be near
_Cell = tuple[str, int]  # (box, its own row), or (box, a row further down that its trunk crosses)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes in pixels: of a box, of the room between boxes and rows, and of a gap for edges."""

    box_width: float = 196.0
    box_height: float = 54.0
    between_boxes: float = 22.0
    between_rows: float = 38.0
    gap_width: float = 14.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """A drawing.

    Attributes:
        width: of the whole, pixels.
        height: of the whole, pixels.
        boxes: left upper corner of each box.
        edges: for each edge the points that it passes, from the bottom of one box to the top of another; from
            each second point to the next it runs straight down, through a row.
    """

    width: float
    height: float
    boxes: Mapping[str, tuple[float, float]]
    edges: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]


def lay_out(
    boxes: Sequence[str], edges: Collection[tuple[str, str]], sizes: Sizes | None = None
) -> Layout:
    """Lays out `boxes`, in an order in which every edge leads to a later one.

    Raises:
        ValueError: if an edge leads back, or to a box that is not there.
    """
    sizes = sizes or Sizes()
    place = {box: i for i, box in enumerate(boxes)}
    for start, end in edges:
        if start not in place or end not in place or place[start] >= place[end]:
            raise ValueError(f"the edge from {start!r} to {end!r} does not lead to a later box")
    row = _rows(boxes, edges)
    links = _links(edges, row)
    rows = _order(_cells(boxes, links, row), links)
    centre = _positions(rows, links, row, sizes)
    return _drawing(boxes, edges, row, centre, sizes)


def _rows(boxes: Sequence[str], edges: Collection[tuple[str, str]]) -> dict[str, int]:
    above: dict[str, list[str]] = {box: [] for box in boxes}
    below: dict[str, list[str]] = {box: [] for box in boxes}
    for start, end in edges:
        above[end].append(start)
        below[start].append(end)
    row: dict[str, int] = {}
    for box in boxes:
        row[box] = 1 + max((row[a] for a in above[box]), default=-1)
    for box in boxes:
        if not above[box] and below[box]:  # what comes from nowhere stands above its first use
            row[box] = min(row[b] for b in below[box]) - 1
    return row


def _links(edges: Iterable[tuple[str, str]], row: Mapping[str, int]) -> set[tuple[_Cell, _Cell]]:
    """The edges in pieces from one row to the next."""
    links: set[tuple[_Cell, _Cell]] = set()
    for start, end in edges:
        for r in range(row[start], row[end] - 1):
            links.add(((start, r), (start, r + 1)))
        links.add(((start, row[end] - 1), (end, row[end])))
    return links


def _cells(
    boxes: Sequence[str], links: Iterable[tuple[_Cell, _Cell]], row: Mapping[str, int]
) -> list[list[_Cell]]:
    place = {box: i for i, box in enumerate(boxes)}
    cells = {(box, row[box]) for box in boxes} | {cell for link in links for cell in link}
    rows: list[list[_Cell]] = [[] for _ in range(1 + max(row.values(), default=-1))]
    for cell in sorted(cells, key=lambda cell: place[cell[0]]):
        rows[cell[1]].append(cell)
    return rows


def _neighbours(
    links: Iterable[tuple[_Cell, _Cell]],
) -> tuple[dict[_Cell, list[_Cell]], dict[_Cell, list[_Cell]]]:
    above: dict[_Cell, list[_Cell]] = {}
    below: dict[_Cell, list[_Cell]] = {}
    for a, b in sorted(links):
        above.setdefault(b, []).append(a)
        below.setdefault(a, []).append(b)
    return above, below


def _order(rows: list[list[_Cell]], links: set[tuple[_Cell, _Cell]]) -> list[list[_Cell]]:
    above, below = _neighbours(links)
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        rows = [list(cells) for cells in rows]
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for r in order:
            place = {cell: i for i, cell in enumerate(rows[r - 1 if down else r + 1])}
            middle = {
                cell: _mean([place[n] for n in near[cell]]) if cell in near else float(i)
                for i, cell in enumerate(rows[r])
            }
            rows[r].sort(key=middle.__getitem__)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: Sequence[Sequence[_Cell]], below: Mapping[_Cell, Sequence[_Cell]]) -> int:
    crossings = 0
    for upper, lower in itertools.pairwise(rows):
        place = {cell: i for i, cell in enumerate(lower)}
        ends = [sorted(place[b] for b in below.get(cell, ())) for cell in upper]
        seen: list[int] = []
        for some in ends:
            crossings += sum(s > e for e in some for s in seen)
            seen += some
    return crossings


def _positions(
    rows: Sequence[Sequence[_Cell]],
    links: set[tuple[_Cell, _Cell]],
    row: Mapping[str, int],
    sizes: Sizes,
) -> dict[_Cell, float]:
    """The middle of each cell, from the left edge of the whole."""
    above, below = _neighbours(links)

    def half(cell: _Cell) -> float:
        is_box = row[cell[0]] == cell[1]
        return (sizes.box_width + sizes.between_boxes if is_box else sizes.gap_width) / 2

    def pull(cell: _Cell, other: _Cell) -> float:
        return _TRUNK_WEIGHT if cell[0] == other[0] else 1.0

    centre = {cell: 0.0 for cells in rows for cell in cells}
    near = {cell: (*above.get(cell, ()), *below.get(cell, ())) for cell in centre}
    for sweep in range(4 * _SWEEPS):
        for cells in rows if sweep % 2 == 0 else reversed(rows):
            weights = [sum(pull(c, n) for n in near[c]) or 1.0 for c in cells]
            wanted = [
                sum(pull(c, n) * centre[n] for n in near[c]) / weight if near[c] else centre[c]
                for c, weight in zip(cells, weights, strict=True)
            ]
            places = _apart(wanted, weights, [half(c) for c in cells])
            centre.update(zip(cells, places, strict=True))
    left = min((x - half(cell) for cell, x in centre.items()), default=0.0)
    return {cell: x - left for cell, x in centre.items()}


def _apart(
    wanted: Sequence[float], weights: Sequence[float], halves: Sequence[float]
) -> list[float]:
    """Positions in the same order, nearest to `wanted` by squares, that leave each cell its room.

    Without the offsets that the room makes it is isotonic regression: neighbours that would be out of
    order are pooled and share their mean.
    """
    offsets = [0.0]
    for left, right in itertools.pairwise(halves):
        offsets.append(offsets[-1] + left + right)
    pools: list[tuple[float, float, int]] = []  # (mean, weight, count)
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        pool = (want - offset, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, count = pools.pop()
            both = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / both, both, count + pool[2])
        pools.append(pool)
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _drawing(
    boxes: Sequence[str],
    edges: Iterable[tuple[str, str]],
    row: Mapping[str, int],
    centre: Mapping[_Cell, float],
    sizes: Sizes,
) -> Layout:
    pitch = sizes.box_height + sizes.between_rows
    drawn = {}
    for start, end in edges:
        points = [(centre[start, row[start]], row[start] * pitch + sizes.box_height)]
        for r in range(row[start] + 1, row[end]):
            x = centre[start, r]
            points += [(x, r * pitch), (x, r * pitch + sizes.box_height)]
        points.append((centre[end, row[end]], row[end] * pitch))
        drawn[start, end] = tuple(points)
    half = sizes.box_width / 2
    corners = {box: (centre[box, row[box]] - half, row[box] * pitch) for box in boxes}
    right = max((x for cell, x in centre.items() if row[cell[0]] != cell[1]), default=0.0)
    return Layout(
        width=max([right, *(x + sizes.box_width for x, _ in corners.values())]),
        height=max((y + sizes.box_height for _, y in corners.values()), default=0.0),
        boxes=corners,
        edges=drawn,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
