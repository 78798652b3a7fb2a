"""Where the rows of a stream come from, and where another process would go on.

A pipe or FIFO is read from where it is. A file is watched like a log that grows: from its end, or from
where the process before this one was. Its first line is the header wherever one begins; so is the
first line of a pipe, which the next process is told, for it cannot be read twice. A header or a line that
is too long to be told is not: after a crash, such a line is left out, and such a header is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.sources.json_rows import JsonRows
from edge_agent.sources.patient import (
    LineStream,
    Patience,
    PipeBytes,
    SourceError,
    TailBytes,
    is_fifo,
    open_bytes,
)
from edge_agent.sources.table import RowBlock, Table, is_header, without_separator
from edge_agent.tables import MQTT_SCHEME, Mqtt
from edge_agent.workloads.job import Job

if TYPE_CHECKING:
    from edge_agent.sources.mqtt import MqttBytes

_PIECE_BYTES = 1 << 16
_LONGEST_LINE = 1 << 20
# Each of two, in hexadecimal, within `edge_agent.workloads.messages.LONGEST_LINE`.
_TOLD_BYTES = 12_000


class RowSource:
    """The rows of a job's source.

    Raises:
        SourceError: if it cannot be opened.
    """

    def __init__(self, job: Job, patience: Patience) -> None:
        """Opens it.

        Args:
            job: names the source: ``-``, a FIFO, a file, which need not be there yet, or a topic.
            patience: how to wait.
        """
        source, place = job.source, job.place
        self._name = source
        self._bytes: PipeBytes | TailBytes | MqttBytes
        if source.startswith(MQTT_SCHEME):
            self._bytes = _subscribed(job, patience)
            head, rest = b"", b""
        elif source == "-" or is_fifo(source):
            self._bytes = open_bytes(source, patience)
            head, rest = _hex(place, "head"), _hex(place, "rest")
        else:
            head, rest = _first_line(Path(source)), b""
            self._bytes = _tail(Path(source), place, patience)
        self._header = head if is_header(_text(head)) else b""
        self._lines = LineStream(
            self._bytes, head=self._header, rest=rest, torn=place.get("torn") is True
        )

    def blocks(self, channels: Sequence[str]) -> Iterator[RowBlock]:
        """The rows as they come; none if the source ends before the first.

        Raises:
            TableError: if they are no rows with these channels.
        """
        first = self._lines.read(_PIECE_BYTES)
        line = first.partition(b"\n")[0]
        if line and not without_separator([_text(line)]):
            first = first[len(line) + 1 :] or self._lines.read(_PIECE_BYTES)
        if not first:
            return
        if not self._header and is_header(_text(first.partition(b"\n")[0])):
            self._header = first.partition(b"\n")[0] + b"\n"
            self._lines.leave_out(self._header)
        stream = _Before(first, self._lines)
        if first.lstrip()[:1] == b"{":
            yield from JsonRows(stream, self._name, channels).blocks()
        else:
            yield from Table(stream, self._name, channels).blocks()

    def place(self) -> dict[str, Any]:
        """Where another process would go on."""
        if isinstance(self._bytes, TailBytes):
            offset = self._bytes.offset - len(self._lines.rest)
            return {"inode": self._bytes.inode, "offset": offset}
        if self._name.startswith(MQTT_SCHEME):
            return {}  # the broker keeps the session
        head, rest = self._header, self._lines.rest
        torn = self._lines.torn or len(rest) > _TOLD_BYTES
        return {
            "head": head.hex() if len(head) <= _TOLD_BYTES else "",
            "rest": "" if torn else rest.hex(),
            "torn": torn,
        }


class _Before:
    """A stream with `first` put before it."""

    def __init__(self, first: bytes, then: LineStream) -> None:
        self._first = first
        self._then = then

    def read(self, count: int) -> bytes:
        first, self._first = self._first, b""
        return first or self._then.read(count)


def _subscribed(job: Job, patience: Patience) -> MqttBytes:
    # paho takes 15 MB, which no other source needs.
    from edge_agent.sources.mqtt import MqttBytes

    topic = job.source.removeprefix(MQTT_SCHEME)
    return MqttBytes(Mqtt(**(job.mqtt or {})), topic, job.client, patience)


def _tail(path: Path, place: dict[str, Any], patience: Patience) -> TailBytes:
    try:
        found = path.stat()
        inode, offset = place.get("inode"), place.get("offset")
        if inode == found.st_ino and isinstance(offset, int):
            return TailBytes(path, patience, inode=inode, offset=offset)
        if place:
            return TailBytes(path, patience)
        return TailBytes(path, patience, inode=found.st_ino, offset=_last_line_end(path))
    except FileNotFoundError:
        return TailBytes(path, patience)
    except OSError as e:
        raise SourceError(f"{path}: cannot be read: {e.strerror}") from e


def _first_line(path: Path) -> bytes:
    """The first line of a file, with its end, behind a spreadsheet's ``sep=;``.

    Empty if it is not there, or is longer than a header.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_LINE)
            if line and not without_separator([_text(line)]):
                line = file.readline(_LONGEST_LINE)
    except OSError:
        return b""
    return line if line.endswith(b"\n") else b""


def _last_line_end(path: Path) -> int:
    """Bytes up to the end of the last whole line, as far as the last megabyte tells."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        begin = file.seek(max(0, end - _LONGEST_LINE))
        last = file.read().rfind(b"\n")
    return begin + last + 1 if last >= 0 or begin == 0 else end


def _hex(place: dict[str, Any], key: str) -> bytes:
    value = place.get(key, "")
    return bytes.fromhex(value) if isinstance(value, str) else b""


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace").strip()
