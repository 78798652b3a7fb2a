"""The picture of a study: accuracy against each cost, one small plot a cost."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipeline.study.choice import Row

_PANELS = (
    ("bytes", "model file, bytes", 1.0),
    ("download_bytes", "to download (zstd), bytes", 1.0),
    ("arena_bytes", "arena (TFLM), bytes", 1.0),
    ("macs", "multiply-accumulates, millions", 1e-6),
    ("latency_ms_litert", "LiteRT, us", 1e3),
    ("latency_ms_tflite_runtime", "tflite-runtime, us", 1e3),
    ("vela_cycles", "Ethos-U55 (Vela's estimate), thousand cycles", 1e-3),
)
# By what a technique saves, and how the legend says it.
_COLOURS = {
    "run-time": ("#0b6e99", "saves run-time"),
    "download": ("#b35900", "saves download"),
    "accuracy": ("#5b4b9a", "same bytes, better used"),
    "training": ("#4a7a3a", "saves in training alone"),
}
_PALE = "#b8b8b8"
# An axis is no shorter than this ratio of its ends, and below the second one its numbers are few.
_SHORTEST, _NARROW = 1.2, 4.0


def draw(rows: Sequence[Row], chosen: str) -> bytes:
    """The picture as SVG.

    Rows of the final rung stand with the range of their seeds; those of the front are filled, the
    released one is ringed. Candidates that were left behind earlier are pale: they saw fewer examples, so
    their accuracy is not to be compared with the others'.

    Args:
        rows: of the table.
        chosen: key of the candidate that was released (trained for longer then); empty if none.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "study", "font.size": 8.5}):
        figure = Figure(figsize=(11.5, 6.4), layout="constrained")
        axes = figure.subplots(2, 4, sharey=True)
        for (cost, title, factor), panel in zip(_PANELS, axes.flat, strict=False):
            _panel(panel, rows, cost, factor, chosen)
            panel.set_xlabel(title)
        for row in axes:
            row[0].set_ylabel("accuracy on test clips")
        legend = axes.flat[len(_PANELS)]
        legend.set_axis_off()
        for colour, label in _COLOURS.values():
            legend.plot([], [], "o", color=colour, label=label)
        legend.plot([], [], "o", color="black", fillstyle="none", label="not on the Pareto front")
        legend.plot([], [], ".", color=_PALE, label="left behind, fewer examples")
        legend.plot(
            [], [], "o", color="none", markeredgecolor="#c00000", markersize=12, label="released"
        )
        legend.legend(loc="center", frameon=False)
        buffer = io.BytesIO()
        metadata = dict.fromkeys(("Date", "Creator"))
        figure.savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue()


def _panel(panel: Axes, rows: Sequence[Row], cost: str, factor: float, chosen: str) -> None:
    panel.grid(color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(_plain))
    panel.xaxis.set_minor_formatter(NullFormatter())
    for row in rows:
        if cost not in row.figures or row.figures[cost] <= 0:
            continue
        x = row.figures[cost] * factor
        if row.rung != "final":
            panel.plot(x, row.test_accuracy, ".", color=_PALE, zorder=1)
            continue
        low, high = row.test_range
        colour, _ = _COLOURS[row.saves]
        panel.plot([x, x], [low, high], color=colour, linewidth=1.2, zorder=2)
        style = "full" if row.on_front else "none"
        panel.plot(x, row.test_accuracy, "o", color=colour, fillstyle=style, zorder=3)
        if row.key == chosen:
            panel.plot(
                x, row.test_accuracy, "o", color="none", markeredgecolor="#c00000", markersize=12
            )
    low, high = panel.get_xlim()
    wider = max(1.0, _SHORTEST / (high / low)) ** 0.5
    panel.set_xlim(low / wider, high * wider)
    if wider * wider * high / low < _NARROW:  # Matplotlib would let its numbers overlap
        panel.xaxis.set_major_locator(MaxNLocator(nbins=4))


def _plain(value: float, _place: int) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
