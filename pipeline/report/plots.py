"""Plots as inline SVG that takes its colours and its font from the page around it.

Matplotlib draws with a few stand-in colours, which become CSS variables here: so one picture is
right on a light page and on a dark one, and its text is text.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from edge_agent.features.audio import Codes, Pcm
from edge_agent.features.image import Pixels

_INK, _LINE = "#010101", "#020202"
_SERIES = ("#030301", "#030302")
_VARIABLES = {
    _INK: "var(--muted)",
    _LINE: "var(--line)",
    **{colour: f"var(--series-{i})" for i, colour in enumerate(_SERIES)},
}
_MOST_DRAWN = 200  # pixels of a picture's longer side
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.borderaxespad": 0.2,
    "legend.handlelength": 1.4,
    "text.parse_math": False,
}


def curves(title: str, series: Mapping[str, Sequence[float]]) -> Markup:
    """The curves ``training`` and ``validation`` of one measure, one value an epoch."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(3.9, 2.4)
        for name, values in series.items():
            colour = _SERIES[1] if name == "validation" else _SERIES[0]
            marker = "o" if len(values) < 3 else None
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, label=name, marker=marker)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        if len(series) > 1:
            axes.legend(loc="best")
        last = ", ".join(f"{name} ends at {v[-1]:.4g}" for name, v in series.items() if v)
        return _svg(figure, f"{title} by epoch: {last}", title)


def trade_off(curve: Sequence[Mapping[str, float]], chosen: tuple[float, float]) -> Markup:
    """False accepts an hour against the share of false rejects; `chosen` is the policy's point."""
    points = sorted((p["false_accepts_per_hour"], p["false_rejects"]) for p in curve)
    accepts, rejects = (np.asarray(v, float) for v in zip(*points, strict=True))
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(4.4, 2.8)
        axes.plot(accepts, 100 * rejects, color=_SERIES[0], marker="o", markersize=3)
        axes.plot(chosen[0], 100 * chosen[1], "o", color=_SERIES[1], markersize=9, zorder=3)
        axes.annotate(
            "chosen policy",
            (chosen[0], 100 * chosen[1]),
            xytext=(9, 9),
            textcoords="offset points",
            color=_SERIES[1],
        )
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(left=-0.05)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}%"))
        axes.set_xlabel("false accepts an hour")
        axes.set_ylabel("words missed")
        alt = (
            f"Share of words missed against false accepts an hour for {len(points)} targets; "
            f"with the chosen policy: {chosen[0]:.3g} an hour, {100 * chosen[1]:.1f}% missed"
        )
        return _svg(figure, alt, "trade-off")


def recording(pcm: Pcm, codes: Codes, sample_rate: int, name: str) -> Markup:
    """A recording's waveform above what the model saw of it."""
    seconds = len(pcm) / sample_rate
    low, high = _envelope(pcm.astype(np.float64) / 32768.0, 400)
    times = (np.arange(len(low)) + 0.5) * seconds / max(1, len(low))
    with mpl.rc_context({**_STYLE, "axes.grid": False}):
        figure = Figure(figsize=(3.9, 2.7), layout="constrained")
        wave, picture = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.7))
        wave.fill_between(times, low, high, color=_SERIES[0], linewidth=0.6)
        reach = max(0.02, 1.05 * float(np.abs([low, high]).max(initial=0.0)))
        wave.set_ylim(-reach, reach)
        wave.set_yticks([])
        wave.spines[["left", "bottom"]].set_visible(False)
        wave.tick_params(bottom=False)
        picture.imshow(
            codes.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=-128,
            vmax=127,
            interpolation="none",
            extent=(0.0, seconds, 0.0, float(codes.shape[1])),
        )
        picture.set_yticks([])
        picture.set_ylabel("mel channel")
        picture.set_xlabel("seconds")
        picture.spines[["left", "bottom"]].set_visible(False)
        alt = f"Waveform and feature codes of {name}, {seconds:.2f} s"
        return _svg(figure, alt, name)


def picture(pixels: Pixels, codes: Codes, name: str) -> Markup:
    """A picture beside what the model saw of it."""
    with mpl.rc_context({**_STYLE, "axes.grid": False}):
        figure = Figure(figsize=(3.9, 2.2), layout="constrained")
        found, seen = figure.subplots(1, 2)
        step = max(1, max(pixels.shape[:2]) // _MOST_DRAWN)
        values = codes.astype(np.int16) + 128
        for axes, shown, title in (
            (found, pixels[::step, ::step], "as found"),
            (seen, values.astype(np.uint8), "as seen"),
        ):
            flat = shown[..., 0] if shown.ndim == 3 and shown.shape[2] == 1 else shown
            axes.imshow(flat, cmap="gray", vmin=0, vmax=255, interpolation="none")
            axes.set_xlabel(title)
            axes.set_xticks([])
            axes.set_yticks([])
        rows, columns = pixels.shape[:2]
        return _svg(figure, f"{name}, {columns} x {rows} pixels, and what the model saw", name)


TRACE = ("row", "values", "score", "on", "threshold", "labels", "shares")
_MOST_LINES = 8


def trace(name: str, arrays: Mapping[str, npt.NDArray[Any]], channels: Sequence[str]) -> Markup:
    """A watched log: its channels above, below them score, threshold, alarms and labelled rows.

    Args:
        name: the log's.
        arrays: those of `TRACE` (components.anomaly_trainer.traces).
        channels: names of the columns of ``values``; the first few that explain most are drawn.
    """
    rows, score = arrays["row"], arrays["score"]
    drawn = np.argsort(-arrays["shares"].sum(axis=0), kind="stable")[:_MOST_LINES]
    with mpl.rc_context({**_STYLE, "lines.linewidth": 1.0}):
        figure = Figure(figsize=(7.6, 3.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
        for place in drawn[::-1]:
            values = arrays["values"][:, place]
            spread = (
                max(float(np.nanmax(values) - np.nanmin(values)), 1e-12) if len(values) else 1.0
            )
            first = place == drawn[0]
            above.plot(
                rows,
                (values - np.nanmin(values)) / spread,
                color=_SERIES[0] if first else _LINE,
                label=channels[place] if first else None,
                zorder=3 if first else 2,
            )
        above.set_yticks([])
        above.set_ylabel("channels, scaled")
        above.legend(loc="upper left")
        below.plot(rows, score, color=_SERIES[0], label="score")
        below.plot(rows, arrays["threshold"], color=_INK, label="threshold", linestyle="--")
        top = 1.05 * max(float(score.max()), float(arrays["threshold"].max()), 1e-9)
        for axes in (above, below):
            axes.fill_between(
                rows,
                0,
                1,
                where=arrays["labels"],
                transform=axes.get_xaxis_transform(),
                color=_LINE,
                alpha=0.45,
                linewidth=0,
                step="post",
                label="labelled" if axes is below and arrays["labels"].any() else None,
            )
        below.fill_between(
            rows,
            0.94 * top,
            top,
            where=arrays["on"],
            color=_SERIES[1],
            linewidth=0,
            step="post",
            label="alarm" if arrays["on"].any() else None,
        )
        below.set_ylim(0, top)
        below.set_xlabel("row")
        below.legend(loc="upper left", ncols=4)
        alt = (
            f"{name}: channels, score and threshold over {int(rows[-1]) + 1 if len(rows) else 0} rows; "
            f"{int(arrays['on'].sum())} of {len(rows)} points with an alarm, "
            f"{int(arrays['labels'].sum())} labelled"
        )
        return _svg(figure, alt, f"trace {name}")


def _envelope(
    samples: npt.NDArray[np.float64], columns: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    pieces = [p for p in np.array_split(samples, columns) if len(p)]
    return np.array([p.min() for p in pieces]), np.array([p.max() for p in pieces])


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, alt: str, key: str) -> Markup:
    """The figure as an SVG element with `alt` as its label; `key` keeps ids of plots apart."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": key}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text)
    text = re.sub(
        r' id="(figure|axes|patch|line2d|text|xtick|ytick|matplotlib|legend|PolyC|Fill)[^"]*"',
        "",
        text,
    )
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    label = html.escape(alt, quote=True)
    return Markup(text.replace("<svg", f'<svg class="plot" role="img" aria-label="{label}"', 1))
