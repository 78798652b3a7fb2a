"""What an update remembers over restarts and power cuts: ``state.json``, one file, written whole."""

from __future__ import annotations

import dataclasses
import enum
import json

from edge_agent.decoding import DecodeError, decode

SCHEMA = 1
_MAX_FAILED = 32


class Phase(enum.StrEnum):
    """Where an update stands; `edge_agent.update.machine` says what may follow what."""

    IDLE = "idle"
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    STAGED = "staged"
    TRIAL = "trial"
    PROBATION = "probation"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled back"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A release in a slot, or on its way there.

    Attributes:
        name: the line of releases; empty where the record of a running bundle was lost.
        version: its semantic version; empty likewise.
        digest: SHA-256 of the bundle, hex.
        slot: ``a`` or ``b``.
        target: its path in the repository; empty likewise.
    """

    name: str
    version: str
    digest: str
    slot: str
    target: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """A bundle that failed here, and why: it is not tried again unless told to."""

    digest: str
    version: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Terms:
    """What a bundle says that it will not exceed: from the envelope and the budget of its manifest.

    Attributes:
        triggers_per_hour: detections, or alarms.
        crashes: of its workload.
        latency_ms: of one inference, or row.
        memory_bytes: resident, of the bundle and its runtime.
    """

    triggers_per_hour: float
    crashes: int
    latency_ms: float
    memory_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a server has not been told yet of an action that has ended here.

    Attributes:
        action: the server's number of it.
        success: whether its release runs, and is kept.
        reason: why not; or what there was to say besides.
    """

    action: str
    success: bool
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """All that the update state machine knows.

    Attributes:
        phase: where it stands.
        current: the last good release, which is never touched; None before the first.
        candidate: the release under way, or the last one that was.
        starts: how often the phase it stands in was begun anew after a death.
        watches: how many daemons began with the candidate, and did not end in peace.
        terms: what the candidate is held to while on probation.
        failed: bundles that failed here, oldest first.
        last_error: why the last update did not happen; None if it did.
        waits: what the release that is offered waits for; None if it waits for nothing.
        action: the server's number of what is under way; None where no server asked for it.
        report: what the server is to be told of the last action; None once it has been told.
    """

    phase: Phase = Phase.IDLE
    current: Release | None = None
    candidate: Release | None = None
    starts: int = 0
    watches: int = 0
    terms: Terms | None = None
    failed: tuple[Failure, ...] = ()
    last_error: str | None = None
    waits: str | None = None
    action: str | None = None
    report: Report | None = None

    def failure(self, digest: str) -> Failure | None:
        """Why the bundle with `digest` failed here, if it did."""
        return next((failure for failure in self.failed if failure.digest == digest), None)

    def with_failure(self, failure: Failure) -> Memory:
        """This, remembering `failure`; the oldest are forgotten beyond 32."""
        others = tuple(one for one in self.failed if one.digest != failure.digest)
        return dataclasses.replace(self, failed=(*others, failure)[-_MAX_FAILED:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Record:
    schema: int
    phase: str
    current: Release | None
    candidate: Release | None
    starts: int
    failed: tuple[Failure, ...]
    last_error: str | None
    watches: int = 0
    terms: Terms | None = None
    waits: str | None = None
    action: str | None = None
    report: Report | None = None


def encode(memory: Memory) -> bytes:
    """The content of ``state.json``."""
    content = {"schema": SCHEMA, **dataclasses.asdict(memory)}
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def decode_memory(data: bytes) -> Memory | None:
    """The memory that ``state.json`` holds; None if it is damaged or of another schema."""
    try:
        record = decode(_Record, json.loads(data))
        phase = Phase(record.phase)
    except (ValueError, RecursionError, DecodeError):
        return None
    under_way = phase in (Phase.VERIFYING, Phase.STAGED, Phase.TRIAL, Phase.PROBATION)
    slots = {release.slot for release in (record.current, record.candidate) if release}
    lacks = (under_way and not record.candidate) or (
        phase is Phase.PROBATION and record.terms is None
    )
    if record.schema != SCHEMA or not slots <= {"a", "b"} or lacks:
        return None
    return Memory(
        phase=phase,
        current=record.current,
        candidate=record.candidate,
        starts=record.starts,
        watches=record.watches,
        terms=record.terms,
        failed=record.failed,
        last_error=record.last_error,
        waits=record.waits,
        action=record.action,
        report=record.report,
    )
