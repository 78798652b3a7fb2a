"""What a search for an architecture found, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from components.tuner.outcome import Finished
from pipeline.ui.figures import operations, percent, size


def search_lines(
    front: Sequence[Finished], chosen: Finished | None, tried: Sequence[Finished]
) -> Iterator[RenderableType]:
    """What to print, in order: the Pareto front, what became of the rest, and the choice.

    Args:
        front: the candidates worth having.
        chosen: one of them, if there are any.
        tried: all of them.
    """
    if front:
        yield _table(front, chosen)
    ended = dict.fromkeys(("complete", "beaten", "too_large", "unfit"), 0)
    for trial in tried:
        ended[trial.outcome.state] += 1
    yield Text(
        f"{len(tried)} candidates: {ended['complete']} trained, {len(front)} of them worth having; "
        f"{ended['beaten']} stopped behind one that takes no more, {ended['too_large']} too large, "
        f"{ended['unfit']} that cannot be built"
    )
    if chosen is None:
        yield Text(
            "none was trained to its end: widen the limits, or try more (--trials)", "yellow"
        )
        return
    yield Text("chosen, the smallest within a point of the best; train it to its end with", "bold")
    for line in settings(chosen):
        yield Text(f"  --set {line}", "cyan")


def settings(chosen: Finished) -> list[str]:
    """What to give to ``--set`` for `chosen`."""
    return [
        f"Trainer.architecture={chosen.architecture}",
        f"Trainer.widths={','.join(map(str, chosen.widths))}",
    ]


def _table(front: Sequence[Finished], chosen: Finished | None) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("architecture", no_wrap=True)
    table.add_column("widths", no_wrap=True)
    for name in ("accuracy", "MACs", "arena", "file"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in sorted(front, key=lambda t: -(t.outcome.accuracy or 0.0)):
        costs = trial.outcome.costs
        assert costs is not None
        table.add_row(
            trial.architecture,
            ",".join(map(str, trial.widths)),
            percent(trial.outcome.accuracy),
            operations(costs.macs),
            size(costs.arena_bytes),
            size(costs.bytes),
            style="bold" if trial is chosen else "",
        )
    return table
