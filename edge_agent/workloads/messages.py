"""What a workload's process says to the supervisor: lines of JSON, one a message.

    {"kind": "ready", "facts": {"runtime": "litert", ...}}   bundle and source are open
    {"kind": "beat", "counters": {...}}                      the inference loop goes round
    {"kind": "event", "event": "detection", "body": {...}}   for the sinks
    {"kind": "place", "place": {...}}                        where to go on in the source, if it dies
    {"kind": "end", "words": "..."}                          why it ends

Lines come from a process that may have gone wrong, so they are bounded and checked like foreign ones.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
from typing import Any

LONGEST_LINE = 64 * 1024
# Upper bounds of the histograms' buckets; one more bucket holds what lies beyond.
LATENCY_BOUNDS_S = (
    0.00005,
    0.0001,
    0.0002,
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.5,
)
SCORE_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 5.0)


class Exit(enum.IntEnum):
    """What a workload's process says by its exit code; every other code is a crash.

    OVER: its source is over, or it was told to end. REFUSED: its bundle cannot do the work here.
    SOURCE: its source cannot be had now.
    """

    OVER = 0
    REFUSED = 3
    SOURCE = 4


class MessageError(ValueError):
    """A line is no message; the text says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counters:
    """What a workload's process has done since it began.

    Attributes:
        inferences: windows, or rows, that were scored.
        triggers: detections, or alarms that began.
        input_s: seconds of audio, or 0.
        gaps: times that the stream of audio broke off.
        gap_s: seconds of audio that did not come.
        bad_rows: rows of which something was wrong.
        latency: inferences by their duration, as `LATENCY_BOUNDS_S` says.
        latency_s: the sum of their durations.
        scores: inferences by their score, as `SCORE_BOUNDS` says: the highest probability of a word,
            or a row's score as a multiple of its threshold.
        score_sum: the sum of these.
        drift: the largest distance of a threshold from the bundle's, now.
        rss_bytes: resident memory of the process.
        added_bytes: of it, what came after the process had begun: that of its bundle and runtime.
    """

    inferences: int = 0
    triggers: int = 0
    input_s: float = 0.0
    gaps: int = 0
    gap_s: float = 0.0
    bad_rows: int = 0
    latency: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_S) + 1)
    latency_s: float = 0.0
    scores: tuple[int, ...] = (0,) * (len(SCORE_BOUNDS) + 1)
    score_sum: float = 0.0
    drift: float = 0.0
    rss_bytes: int = 0
    added_bytes: int = 0


def together(before: Counters, now: Counters) -> Counters:
    """The counts of two processes, one after the other; memory and drift are those of the second."""
    summed: dict[str, Any] = {}
    for field in dataclasses.fields(Counters):
        a, b = getattr(before, field.name), getattr(now, field.name)
        both = tuple(map(sum, zip(a, b, strict=True))) if isinstance(a, tuple) else a + b
        summed[field.name] = both
    return dataclasses.replace(
        Counters(**summed), drift=now.drift, rss_bytes=now.rss_bytes, added_bytes=now.added_bytes
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadySaid:
    """Bundle and source are open; `facts` go into the status."""

    facts: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeatSaid:
    """The inference loop goes round."""

    counters: Counters


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventSaid:
    """Something for the sinks: `event` names it, `body` is the rest."""

    event: str
    body: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlaceSaid:
    """What the next process is given, to go on where this one is in its source."""

    place: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndSaid:
    """The process ends, and why; its exit code says what that means."""

    words: str


Message = ReadySaid | BeatSaid | EventSaid | PlaceSaid | EndSaid


def encode(message: Message) -> bytes:
    """The line for `message`."""
    content: dict[str, Any]
    match message:
        case ReadySaid(facts=facts):
            content = {"kind": "ready", "facts": facts}
        case BeatSaid(counters=counters):
            content = {"kind": "beat", "counters": dataclasses.asdict(counters)}
        case EventSaid(event=event, body=body):
            content = {"kind": "event", "event": event, "body": body}
        case PlaceSaid(place=place):
            content = {"kind": "place", "place": place}
        case EndSaid(words=words):
            content = {"kind": "end", "words": words}
    return (json.dumps(content, allow_nan=False) + "\n").encode()


def decode(line: bytes) -> Message:
    """The message in `line`.

    Raises:
        MessageError: if it holds none.
    """
    if len(line) > LONGEST_LINE:
        raise MessageError(f"a line of {len(line)} bytes")
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise MessageError(f"not JSON: {line[:60]!r}") from e
    if not isinstance(content, dict):
        raise MessageError(f"not a table: {line[:60]!r}")
    kind = content.get("kind")
    if kind == "beat":
        return BeatSaid(counters=_counters(content.get("counters")))
    if kind == "ready":
        return ReadySaid(facts=_table(content.get("facts")))
    if kind == "place":
        return PlaceSaid(place=_table(content.get("place")))
    if kind == "event" and isinstance(content.get("event"), str):
        return EventSaid(event=content["event"], body=_table(content.get("body")))
    if kind == "end" and isinstance(content.get("words"), str):
        return EndSaid(words=content["words"][:2000])
    raise MessageError(f"of no known kind: {line[:60]!r}")


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MessageError(f"not a table: {repr(value)[:60]}")
    return value


def _counters(value: Any) -> Counters:
    table = _table(value)
    read: dict[str, Any] = {}
    none = Counters()
    for field in dataclasses.fields(Counters):
        before = getattr(none, field.name)
        found = table.get(field.name, before)
        if isinstance(before, tuple):
            if not isinstance(found, list | tuple) or len(found) != len(before):
                raise MessageError(f"{field.name}: not {len(before)} counts")
            read[field.name] = tuple(_count(n, field.name) for n in found)
        else:
            read[field.name] = type(before)(_count(found, field.name))
    return Counters(**read)


def _count(value: Any, name: str) -> float | int:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not math.isfinite(value) or not 0 <= value < 2**63:
        raise MessageError(f"{name}: {repr(value)[:60]} is no count")
    number: float | int = value
    return number
