"""Events of the Wyoming protocol to bytes and back; pure.

An event is a line of JSON, ``{"type", "data"?, "data_length"?, "payload_length"?}``, then so many bytes of
JSON that are merged into ``data``, then so many bytes of payload. The `wyoming` package on PyPI is the
reference. Whoever is at the other end is not trusted: sizes are bounded before anything is kept.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, NoReturn

LONGEST_LINE = 64 * 1024
MOST_DATA = 256 * 1024
MOST_PAYLOAD = 1024 * 1024


class ProtocolError(ValueError):
    """The bytes are no events of the protocol; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        type: what it is, e.g. ``audio-chunk``.
        data: its details.
        payload: bytes, of sound mostly.
    """

    type: str
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    payload: bytes = b""


def encode(event: Event) -> bytes:
    """The bytes of `event`."""
    data = json.dumps(event.data, allow_nan=False).encode() if event.data else b""
    head: dict[str, Any] = {"type": event.type}
    if data:
        head["data_length"] = len(data)
    if event.payload:
        head["payload_length"] = len(event.payload)
    return json.dumps(head).encode() + b"\n" + data + event.payload


class Parser:
    """Takes the bytes of one connection in pieces of any size."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._head: dict[str, Any] | None = None
        self._data_length = self._payload_length = 0

    def feed(self, piece: bytes) -> list[Event]:
        """The events that `piece` completes.

        Raises:
            ProtocolError: if the bytes are none; nothing more can be read of this connection then.
        """
        self._bytes += piece
        events = []
        while (event := self._next()) is not None:
            events.append(event)
        return events

    def _next(self) -> Event | None:
        if self._head is None and not self._read_head():
            return None
        assert self._head is not None
        needed = self._data_length + self._payload_length
        if len(self._bytes) < needed:
            return None
        data = self._head.get("data") or {}
        if self._data_length:
            data = {**data, **_table(bytes(self._bytes[: self._data_length]), "data")}
        event = Event(
            type=self._head["type"],
            data=data,
            payload=bytes(self._bytes[self._data_length : needed]),
        )
        del self._bytes[:needed]
        self._head = None
        return event

    def _read_head(self) -> bool:
        end = self._bytes.find(b"\n", 0, LONGEST_LINE)
        if end < 0:
            if len(self._bytes) >= LONGEST_LINE:
                raise ProtocolError(f"a line of more than {LONGEST_LINE} bytes")
            return False
        head = _table(bytes(self._bytes[:end]), "a line")
        if not isinstance(head.get("type"), str):
            raise ProtocolError("an event without a type")
        if not isinstance(head.get("data"), dict | None):
            raise ProtocolError("data that is no table")
        self._data_length = _length(head, "data_length", MOST_DATA)
        self._payload_length = _length(head, "payload_length", MOST_PAYLOAD)
        self._head = head
        del self._bytes[: end + 1]
        return True


def _table(data: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(data, parse_float=_finite, parse_constant=_refused)
    except (ValueError, RecursionError) as e:
        raise ProtocolError(f"{what} is not JSON: {data[:60]!r}") from e
    if not isinstance(found, dict):
        raise ProtocolError(f"{what} is no table: {data[:60]!r}")
    return found


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refused(text)


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no number of JSON")


def _length(head: dict[str, Any], name: str, most: int) -> int:
    value = head.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ProtocolError(f"{name} is {repr(value)[:60]}, not 0 to {most}")
    return value
