"""Which of many points are worth keeping: Pareto ranks, halving, and the choice within limits. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

# What a candidate costs, each the less the better.
COSTS = ("bytes", "download_bytes", "macs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A candidate in the space of what counts.

    Attributes:
        name: whose it is.
        accuracy: share of right decisions, the more the better.
        costs: by name, the less the better; the same names for all points that are compared.
    """

    name: str
    accuracy: float
    costs: Mapping[str, float]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is nowhere worse than `other` and somewhere better."""
    if one.accuracy < other.accuracy:
        return False
    if any(one.costs[name] > other.costs[name] for name in other.costs):
        return False
    return one.accuracy > other.accuracy or dict(one.costs) != dict(other.costs)


def front(points: Sequence[Point]) -> list[Point]:
    """Those that nobody dominates, in their order."""
    return [p for p in points if not any(dominates(other, p) for other in points)]


def ranked(points: Sequence[Point], limits: Mapping[str, float]) -> list[Point]:
    """All points, those within `limits` before the others, each part by fronts.

    By fronts: the front first, then the front of the rest and so on; the more accurate first in each.
    """
    within_limits = [p for p in points if within(p, limits)]
    return _by_fronts(within_limits) + _by_fronts([p for p in points if p not in within_limits])


def _by_fronts(points: Sequence[Point]) -> list[Point]:
    left, order = list(points), []
    while left:
        best = front(left)
        order += sorted(best, key=lambda p: -p.accuracy)
        left = [p for p in left if p not in best]
    return order


def reduced(
    points: Sequence[Point], by: int, least: int, limits: Mapping[str, float]
) -> list[Point]:
    """The better one in `by` of the points (after Jamieson and Talwalkar, 2016), `least` at least."""
    return ranked(points, limits)[: max(min(least, len(points)), -(-len(points) // by))]


def promising(points: Sequence[Point]) -> list[Point]:
    """Those that are at least half as accurate as the most accurate: a model that is only small is no use."""
    best = max((p.accuracy for p in points), default=0.0)
    return [p for p in points if p.accuracy >= best / 2]


def spread(points: Sequence[Point], count: int) -> list[Point]:
    """`count` of the points of a front, the most accurate first, then what lies farthest from those kept.

    Distance is in places when the points are ordered by each cost, so that no unit outweighs another.
    """
    left = sorted(points, key=lambda p: -p.accuracy)
    kept = left[:1]
    left = left[1:]
    places = {
        name: {p.name: i for i, p in enumerate(sorted(points, key=lambda p: p.costs[name]))}
        for name in (points[0].costs if points else {})
    }
    while left and len(kept) < count:
        farthest = max(
            left,
            key=lambda p: min(
                sum(abs(place[p.name] - place[k.name]) for place in places.values()) for k in kept
            ),
        )
        kept.append(farthest)
        left.remove(farthest)
    return kept


def within(point: Point, limits: Mapping[str, float]) -> bool:
    """Whether each cost that has a limit keeps it."""
    return all(point.costs[name] <= limit for name, limit in limits.items())
