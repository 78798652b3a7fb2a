"""What ``score`` and ``replay`` share: opening bundle and table, and the lines that they print."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from edge_agent.commands.bundle_arguments import opened
from edge_agent.commands.errors import CommandError
from edge_agent.sources.table import Table, TableError
from edge_agent.watching.bundle import WatchError
from edge_agent.watching.watch import Finding, Watch


@contextlib.contextmanager
def watching(bundle_path: Path, source: str) -> Iterator[tuple[Watch, Table]]:
    """The bundle's watch and the table; turns what may be wrong with them into an error."""
    with opened(bundle_path) as bundle, contextlib.ExitStack() as stack:
        try:
            watch = Watch(bundle)
            stream = sys.stdin.buffer
            if source != "-":
                stream = stack.enter_context(Path(source).open("rb"))
            name = "standard input" if source == "-" else source
            table = Table(stream, name, watch.channels)
            for label, names in (("ignored", table.ignored), ("missing", table.absent)):
                if names:
                    shown = ", ".join(name or "(no name)" for name in names[:8])
                    print(f"note: {len(names)} columns {label}: {shown}", file=sys.stderr)
            yield watch, table
        except WatchError as e:
            raise CommandError(f"{bundle_path}: {e}") from e
        except TableError as e:
            raise CommandError(str(e)) from e
        except OSError as e:
            if isinstance(e, BrokenPipeError):
                raise
            raise CommandError(f"{source}: cannot be read: {e.strerror}") from e


def say_summary(watch: Watch) -> None:
    """Says on standard error how many rows there were, and what was found about them."""
    counts = watch.quality.counts
    rows = counts.pop("rows", 0)
    found = "".join(f"; {count} {what}" for what, count in sorted(counts.items()))
    print(f"note: {rows} rows{found}", file=sys.stderr)


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
