"""What ``score`` and ``replay`` share: opening bundle and table, and the lines that they print."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from edge_agent.commands.bundle_arguments import opened
from edge_agent.commands.errors import CommandError
from edge_agent.features.series import VibrationFeatures
from edge_agent.sources.readable import Readable
from edge_agent.sources.table import RowBlock, Table, TableError
from edge_agent.sources.wav import WavError, WavReader
from edge_agent.watching.alarm_hour import AlarmHour, AlarmHours, write_hour
from edge_agent.watching.alarm_picture import NoPillowError, draw
from edge_agent.watching.bundle import WatchError
from edge_agent.watching.vibration import VibrationRows
from edge_agent.watching.watch import Finding, Watch


@contextlib.contextmanager
def watching(bundle_path: Path, source: str) -> Iterator[tuple[Watch, Table]]:
    """The bundle's watch and the table; turns what may be wrong with them into an error."""
    with _opened(bundle_path, source) as (watch, stream, name):
        if watch.vibration is not None:
            raise CommandError(f"{bundle_path}: takes a signal, not rows: use score --wav")
        table = Table(stream, name, watch.channels)
        for label, names in (("ignored", table.ignored), ("missing", table.absent)):
            if names:
                shown = ", ".join(name or "(no name)" for name in names[:8])
                print(f"note: {len(names)} columns {label}: {shown}", file=sys.stderr)
        yield watch, table


@contextlib.contextmanager
def listening(
    bundle_path: Path, source: str, rpm: float | None
) -> Iterator[tuple[Watch, Iterator[RowBlock]]]:
    """The bundle's watch, and the rows that it makes of a WAV file or stream; errors likewise."""
    with _opened(bundle_path, source) as (watch, stream, name):
        features = watch.vibration
        if features is None:
            raise CommandError(f"{bundle_path}: takes rows, not a signal: give --csv")
        if features.orders and rpm is None:
            raise CommandError(
                f"{bundle_path}: looks at multiples of the shaft's speed: give it by --rpm, in "
                "revolutions a minute"
            )
        if rpm is not None and not features.orders:
            print("note: --rpm: the bundle needs no speed of a shaft", file=sys.stderr)
        rows = VibrationRows(features, None if rpm is None else rpm / 60.0)
        yield watch, _rows_of(WavReader(stream, name), watch, features, rows)


@contextlib.contextmanager
def _opened(bundle_path: Path, source: str) -> Iterator[tuple[Watch, Readable, str]]:
    """The bundle's watch, and the stream that `source` names, with what errors call it."""
    with opened(bundle_path) as bundle, contextlib.ExitStack() as stack:
        try:
            watch = Watch(bundle)
            stream: Readable = sys.stdin.buffer
            if source != "-":
                stream = stack.enter_context(Path(source).open("rb"))
            yield watch, stream, "standard input" if source == "-" else source
        except WatchError as e:
            raise CommandError(f"{bundle_path}: {e}") from e
        except (TableError, WavError) as e:
            raise CommandError(str(e)) from e
        except OSError as e:
            if isinstance(e, BrokenPipeError):
                raise
            raise CommandError(f"{source}: cannot be read: {e.strerror}") from e


def _rows_of(
    wav: WavReader, watch: Watch, features: VibrationFeatures, rows: VibrationRows
) -> Iterator[RowBlock]:
    channels = len(watch.channels) // len(features.names)
    if (wav.format.rate, wav.format.channels) != (features.sample_rate, channels):
        raise CommandError(
            f"{wav.name}: has {wav.format.channels} channels at {wav.format.rate} Hz, and the bundle "
            f"takes {channels} at {features.sample_rate} Hz: record or convert it so"
        )
    for block in wav.blocks():
        made = rows.take(block)
        if len(made.rows):
            yield made


class AlarmFolder:
    """Writes the hour around each alarm into a folder."""

    def __init__(self, folder: Path, channels: list[str]) -> None:
        """Writes nothing before the first alarm."""
        self._folder = folder
        self._hours = AlarmHours(channels)
        self._draws = True

    def take(self, block: RowBlock, findings: list[Finding]) -> None:
        """The next rows, and what was found in each."""
        for hour in self._hours.take(block, findings):
            self._write(hour)

    def close(self) -> None:
        """Writes what is left when the rows are over."""
        for hour in self._hours.rest():
            self._write(hour)

    def _write(self, hour: AlarmHour) -> None:
        picture = None
        if self._draws:
            try:
                picture = draw(hour)
            except NoPillowError as e:
                self._draws = False
                print(f"note: {e}", file=sys.stderr)
        try:
            path = write_hour(self._folder, hour, picture)
        except OSError as e:
            raise CommandError(f"{self._folder}: cannot be written: {e.strerror}") from e
        print(f"note: alarm written to {path}", file=sys.stderr)


class Printer:
    """Prints what is found in rows, and keeps the hour around an alarm where that is asked for.

    When it is left, by Ctrl-C or an error too, it writes the hour of an alarm that is not over, and says
    how many rows there were.
    """

    def __init__(self, watch: Watch, arguments: argparse.Namespace) -> None:
        """Prints as `arguments` (``json``, ``alarms``) say."""
        self._watch = watch
        self._show = json_line if arguments.json else AlarmLines().line
        self._folder = arguments.alarms and AlarmFolder(arguments.alarms, watch.channels)

    def __enter__(self) -> Printer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            self._folder.close()
        say_summary(self._watch)

    def take(self, block: RowBlock) -> None:
        """Scores the next rows and prints."""
        findings, news = self._watch.process(block)
        for sentence in news:
            print(f"note: {sentence}", file=sys.stderr)
        if self._folder:
            kept = list(findings)
            self._folder.take(block, kept)
            findings = iter(kept)
        sys.stdout.write("".join(map(self._show, findings)))
        sys.stdout.flush()


def say_summary(watch: Watch) -> None:
    """Says on standard error how many rows there were, and what was found about them."""
    counts = watch.quality.counts
    rows = counts.pop("rows", 0)
    found = "".join(f"; {count} {what}" for what, count in sorted(counts.items()))
    print(f"note: {rows} rows{found}", file=sys.stderr)
    if not watch.warm:
        print(
            f"note: nothing was judged: the warm-up, normal running, takes {watch.warms} rows more",
            file=sys.stderr,
        )


def json_line(finding: Finding) -> str:
    """A line of JSON."""
    channel = "null" if finding.channel is None else json.dumps(finding.channel)
    return (
        f'{{"time": {json.dumps(finding.time)}, "score": {finding.score!r}, '
        f'"anomaly": {"true" if finding.anomaly else "false"}, "channel": {channel}}}\n'
    )


class AlarmLines:
    """The begin and the end of alarms, in words."""

    def __init__(self) -> None:
        """Starts without an alarm."""
        self._on = False

    def line(self, finding: Finding) -> str:
        """The line for the next finding; empty where nothing begins or ends."""
        before, self._on = self._on, finding.anomaly
        if finding.anomaly and not before:
            return (
                f"{finding.time}  alarm: {finding.channel}, score {finding.score:.2f} "
                f"(threshold {finding.threshold:.2f})\n"
            )
        return f"{finding.time}  alarm over\n" if before and not finding.anomaly else ""
