"""A laid-out graph as inline SVG: boxes that are links, in the colours of the page."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Sequence

from markupsafe import Markup

from pipeline.web.graph_layout import Layout, Sizes, lay_out

_MARGIN = 6.0
_LONGEST_NAME, _LONGEST_NOTE = 22, 27


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """What stands in a box.

    Attributes:
        key: tells it from others.
        name: the first line.
        note: the second line.
        look: class of the style sheet.
        link: where a click leads.
    """

    key: str
    name: str
    note: str
    look: str
    link: str


def draw_graph(label: str, boxes: Sequence[Box], edges: Collection[tuple[str, str]]) -> Markup:
    """The graph; `boxes` in an order in which every edge leads to a later one."""
    sizes = Sizes()
    layout = lay_out([box.key for box in boxes], edges, sizes)
    width, height = layout.width + 2 * _MARGIN, layout.height + 2 * _MARGIN
    parts = [
        Markup(
            '<svg class="graph" role="group" aria-label="{}" width="{:.0f}" height="{:.0f}" '
            'viewBox="{:.0f} {:.0f} {:.0f} {:.0f}">'
        ).format(label, width, height, -_MARGIN, -_MARGIN, width, height)
    ]
    parts += [Markup('<path class="edge" d="{}"/>').format(piece) for piece in _pieces(layout)]
    parts += [_box(box, layout.boxes[box.key], sizes) for box in boxes]
    return Markup("").join([*parts, Markup("</svg>")])


def _pieces(layout: Layout) -> list[str]:
    """The edges as paths from row to row, each once, for edges out of one box share their way."""
    pieces: dict[str, None] = {}
    for edge in sorted(layout.edges):
        for i, ((x0, y0), (x1, y1)) in enumerate(itertools.pairwise(layout.edges[edge])):
            middle = (y0 + y1) / 2
            bend = f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
            pieces[f"M{x0:.1f} {y0:.1f}" + (bend if i % 2 == 0 else f"V{y1:.1f}")] = None
    return list(pieces)


def _box(box: Box, corner: tuple[float, float], sizes: Sizes) -> Markup:
    x, y = corner
    return Markup(
        '<a href="{link}" class="box {look}"><title>{name}: {note}</title>'
        '<rect x="{x:.1f}" y="{y:.1f}" width="{width:.0f}" height="{height:.0f}" rx="9"/>'
        '<rect class="stripe" x="{x:.1f}" y="{stripe_y:.1f}" width="4" height="{stripe:.0f}" rx="2"/>'
        '<text class="name" x="{text_x:.1f}" y="{name_y:.1f}">{short_name}</text>'
        '<text class="note" x="{text_x:.1f}" y="{note_y:.1f}">{short_note}</text></a>'
    ).format(
        link=box.link,
        look=box.look,
        name=box.name,
        note=box.note,
        x=x,
        y=y,
        width=sizes.box_width,
        height=sizes.box_height,
        stripe_y=y + 9,
        stripe=sizes.box_height - 18,
        text_x=x + 15,
        name_y=y + 23,
        note_y=y + 41,
        short_name=_short(box.name, _LONGEST_NAME),
        short_note=_short(box.note, _LONGEST_NOTE),
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
