"""The rows around an alarm as a PNG, drawn by Pillow (extra ``pictures``)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.watching.alarm_hour import AlarmHour

_WIDTH, _LEFT, _RIGHT = 1200, 12, 12
_PANEL, _SCORE, _GAP = 74, 130, 16
_MOST_CHANNELS = 12
_PAPER, _INK, _QUIET = (255, 255, 255), (40, 40, 40), (150, 150, 150)
_LINE, _SCORE_LINE, _ALARM = (36, 94, 160), (160, 60, 20), (250, 220, 205)

Float64 = npt.NDArray[np.float64]


class NoPillowError(Exception):
    """There is nothing to draw with; the message says what to install."""


def draw(hour: AlarmHour) -> bytes:
    """A panel a channel, those that did most first, and one of score and threshold; alarms are shaded.

    Raises:
        NoPillowError: if Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as e:
        raise NoPillowError(
            "alarms are written without pictures: pip install edge-agent[pictures]"
        ) from e
    shown = _shown(hour)
    height = len(shown) * (_PANEL + _GAP) + _SCORE + 2 * _GAP + 14
    image = Image.new("RGB", (_WIDTH, height), _PAPER)
    canvas = ImageDraw.Draw(image)
    values = np.array([row.values for row in hour.rows], np.float64)
    on = np.array([row.finding.anomaly for row in hour.rows])
    top = _GAP
    for channel in shown:
        series = values[:, channel]
        low, high = _range(series)
        label = f"{hour.channels[channel]}   {low:.4g} to {high:.4g}"
        _panel(canvas, top, _PANEL, on, label)
        _polyline(canvas, series, (low, high), (top, _PANEL), _LINE)
        top += _PANEL + _GAP
    score = np.array([row.finding.score for row in hour.rows])
    threshold = np.array([row.finding.threshold for row in hour.rows])
    span = (0.0, max(float(score.max()), float(threshold.max()), 1e-9))
    _panel(canvas, top, _SCORE, on, "score, and the threshold in grey")
    _polyline(canvas, threshold, span, (top, _SCORE), _QUIET)
    _polyline(canvas, score, span, (top, _SCORE), _SCORE_LINE)
    first, last = hour.rows[0].finding.time, hour.rows[-1].finding.time
    begun = hour.rows[hour.begun].finding
    text = f"{first} to {last}; alarm at {begun.time}, {begun.channel}"
    canvas.text((_LEFT, height - 14), _plain(text), fill=_INK)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _shown(hour: AlarmHour) -> list[int]:
    """Channels by how often each did most while the alarm was on; the first few."""
    said = [row.finding.channel for row in hour.rows if row.finding.anomaly]
    counts = [said.count(channel) for channel in hour.channels]
    return sorted(range(len(counts)), key=lambda place: -counts[place])[:_MOST_CHANNELS]


def _range(series: Float64) -> tuple[float, float]:
    known = series[np.isfinite(series)]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)


def _panel(canvas: Any, top: int, height: int, on: npt.NDArray[np.bool_], label: str) -> None:
    places = _across(len(on))
    for place in np.flatnonzero(on).tolist():
        x = places[place]
        after = places[min(place + 1, len(places) - 1)]
        canvas.rectangle((x, top, max(after, x + 1), top + height), fill=_ALARM)
    canvas.rectangle((_LEFT, top, _WIDTH - _RIGHT, top + height), outline=_QUIET)
    canvas.text((_LEFT + 4, top + 2), _plain(label), fill=_INK)


def _polyline(
    canvas: Any,
    series: Float64,
    span: tuple[float, float],
    place: tuple[int, int],
    colour: Sequence[int],
) -> None:
    """The series as a line; it is broken where a value is missing."""
    low, high = span
    top, height = place
    across = _across(len(series))
    level = (series - low) / max(high - low, 1e-300)
    run: list[tuple[float, float]] = []
    for x, y in zip(across, (top + height - 3 - level * (height - 18)).tolist(), strict=True):
        if np.isfinite(y):
            run.append((x, y))
            continue
        _stroke(canvas, run, colour)
        run = []
    _stroke(canvas, run, colour)


def _stroke(canvas: Any, run: list[tuple[float, float]], colour: Sequence[int]) -> None:
    if len(run) == 1:
        canvas.point(run, fill=tuple(colour))
    elif run:
        canvas.line(run, fill=tuple(colour), width=1)


def _across(count: int) -> list[float]:
    found: list[float] = np.linspace(_LEFT, _WIDTH - _RIGHT, max(count, 2)).tolist()
    return found[:count]


def _plain(text: str) -> str:
    """What Pillow's own font can draw."""
    return text.encode("latin-1", errors="replace").decode("latin-1")
