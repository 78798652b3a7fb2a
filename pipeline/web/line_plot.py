"""One metric over runs as inline SVG: every point a link to its run, every refusal a gap in the line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from pipeline.web.figures import figure

_WIDTH, _HEIGHT = 660.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 84.0, 14.0, 14.0, 34.0
_STEPS = 4
_MOST_RUN_TICKS = 8
_HIGHEST = 1e18


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """What one run gave.

    Attributes:
        run: number of the run.
        state: the run's state; the line joins only complete ones.
        value: the metric; None if the run has none.
    """

    run: int
    state: str
    value: float | None


def draw_plot(name: str, points: Sequence[Point]) -> Markup | None:
    """The plot of the metric `name` (``ComponentId.metric``); None if no point can be drawn."""
    values = [value for point in points if (value := _drawable(point)) is not None]
    if not values:
        return None
    scale = _Scale(nice_ticks(min(values), max(values)), len(points))
    label = (
        f"{name} over {len(points)} runs: from {figure(name, min(values))} to "
        f"{figure(name, max(values))}, last {figure(name, values[-1])}"
    )
    head = '<svg class="plot" role="group" aria-label="{}" viewBox="0 0 {:.0f} {:.0f}">'
    return Markup("").join(
        [
            Markup(head).format(label, _WIDTH, _HEIGHT),
            *_value_axis(name, scale),
            *_run_axis(scale, points),
            *(_line(scale, stretch) for stretch in stretches(points)),
            *_dots(name, scale, points),
            Markup("</svg>"),
        ]
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """About five round values from at most `low` to at least `high`, evenly apart and distinct."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        reach = abs(low) / 10 or 1.0
        low, high = low - reach, high + reach
    rough = (high - low) / _STEPS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= 0.999 * rough)
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [step * i for i in range(first, last + 1)]


def stretches(points: Sequence[Point]) -> list[list[tuple[int, float]]]:
    """(place, value) of the complete runs, in pieces without a gap."""
    found: list[list[tuple[int, float]]] = [[]]
    for i, point in enumerate(points):
        value = _drawable(point)
        if point.state == "complete" and value is not None:
            found[-1].append((i, value))
        elif point.state != "running" and found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


class _Scale:
    """From places and values to pixels."""

    def __init__(self, ticks: list[float], count: int) -> None:
        self.ticks = ticks
        self._count = count

    def x(self, place: int) -> float:
        width = _WIDTH - _LEFT - _RIGHT
        return _LEFT + width * (place + 0.5) / self._count

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        height = _HEIGHT - _TOP - _BOTTOM
        return _HEIGHT - _BOTTOM - height * (value - low) / (high - low)


def _value_axis(name: str, scale: _Scale) -> Iterable[Markup]:
    for tick in scale.ticks:
        y = scale.y(tick)
        yield Markup(
            '<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>'
            '<text class="tick end" x="{:.1f}" y="{:.1f}">{}</text>'
        ).format(_LEFT, y, _WIDTH - _RIGHT, _LEFT - 8, y + 4, figure(name, tick))


def _run_axis(scale: _Scale, points: Sequence[Point]) -> Iterable[Markup]:
    every = math.ceil(len(points) / _MOST_RUN_TICKS)
    for i in range(0, len(points), every):
        text = f"run {points[i].run}" if i == 0 else str(points[i].run)
        yield Markup('<text class="tick middle" x="{:.1f}" y="{:.1f}">{}</text>').format(
            scale.x(i), _HEIGHT - 12, text
        )


def _line(scale: _Scale, stretch: Sequence[tuple[int, float]]) -> Markup:
    path = "L".join(f"{scale.x(i):.1f} {scale.y(value):.1f}" for i, value in stretch)
    return Markup('<path class="line" d="M{}"/>').format(path)


def _dots(name: str, scale: _Scale, points: Sequence[Point]) -> Iterable[Markup]:
    for i, point in enumerate(points):
        value = _drawable(point)
        if value is None:
            continue
        yield Markup(
            '<a href="/runs/{run}"><title>run {run}, {state}: {value}</title>'
            '<circle class="dot {state}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/></a>'
        ).format(
            run=point.run,
            state=point.state,
            value=figure(name, value),
            x=scale.x(i),
            y=scale.y(value),
        )


def _drawable(point: Point) -> float | None:
    """The value, unless it is none, no number, or beyond all scales."""
    there = point.value is not None and abs(point.value) <= _HIGHEST
    return point.value if there else None
