"""Opens a log of any format: what it holds, and its rows a block at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from components.base import UserError
from components.series_example_gen import signals, tables
from components.series_example_gen.component import Format, SeriesExampleGenParameters
from components.series_example_gen.tables import Block, Windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What holds for all logs of a folder.

    Attributes:
        parameters: of the component.
        channels: columns of the tables; empty of signals.
        windows: labelled stretches by file, of NAB's form.
    """

    parameters: SeriesExampleGenParameters
    channels: tuple[str, ...]
    windows: Windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """One log.

    Attributes:
        labelled: whether it says which rows are anomalous.
        channels: names of the columns.
        sample_rate: of a signal, Hz; None of a table.
        blocks: rows, labels and seconds, in order.
    """

    labelled: bool
    channels: Sequence[str]
    sample_rate: int | None
    blocks: Iterable[Block]


def plan_of(root: Path, paths: Sequence[Path], parameters: SeriesExampleGenParameters) -> Plan:
    """Looks at the folder once.

    Raises:
        UserError: if no table has a column of numbers, or the windows cannot be read or are
            of other files.
    """
    channels = parameters.channels
    if parameters.format in ("csv", "nab") and not channels:
        channels = _columns(paths, parameters)
    windows = tables.read_windows(root) if parameters.format == "nab" else {}
    names = {path.relative_to(root).as_posix() for path in paths}
    if windows and names.isdisjoint(windows):
        raise UserError(
            f"{root / tables.WINDOWS}: names {next(iter(windows))} and others, and the folder holds "
            f"{min(names)}: write paths as they are below the folder, or give the folder above"
        )
    return Plan(parameters=parameters, channels=channels, windows=windows)


def _columns(paths: Sequence[Path], parameters: SeriesExampleGenParameters) -> tuple[str, ...]:
    """Those of the first table that has any: a logger that died may have left an empty one before it."""
    refused = []
    for path in paths:
        try:
            return tuple(tables.columns(path, parameters))
        except UserError as e:
            refused.append(e)
    raise refused[0]


def open_log_file(path: Path, name: str, plan: Plan) -> Opened:
    """Opens one log.

    Args:
        path: the file.
        name: its path below the folder of data, with slashes.
        plan: what holds for all of them.

    Raises:
        UserError: if it cannot be read; so may reading its blocks.
    """
    return _OPENERS[plan.parameters.format](path, name, plan)


def _table(path: Path, _name: str, plan: Plan) -> Opened:
    labelled, blocks = tables.labelled_blocks(path, plan.channels, plan.parameters.label)
    return Opened(labelled=labelled, channels=plan.channels, sample_rate=None, blocks=blocks)


def _nab(path: Path, name: str, plan: Plan) -> Opened:
    windows = plan.windows.get(name)
    return Opened(
        labelled=windows is not None,
        channels=plan.channels,
        sample_rate=None,
        blocks=tables.windowed_blocks(path, plan.channels, windows or ()),
    )


def _signal(path: Path, name: str, plan: Plan) -> Opened:
    rate, count, samples = signals.open_signal(path, plan.parameters.sample_rate)
    anomalous = not signals.is_healthy(name, plan.parameters.healthy)

    def blocks() -> Iterator[Block]:
        begin = 0
        for block in samples:
            seconds = (begin + np.arange(len(block))) / rate
            yield block, np.full(len(block), anomalous), seconds
            begin += len(block)

    channels = ["signal"] if count == 1 else [f"signal {k + 1}" for k in range(count)]
    return Opened(labelled=True, channels=channels, sample_rate=rate, blocks=blocks())


_OPENERS: Mapping[Format, Callable[[Path, str, Plan], Opened]] = {
    "csv": _table,
    "nab": _nab,
    "wav": _signal,
    "mat": _signal,
}
