"""Schemas of the operators' API: what it takes, and what it answers."""

from __future__ import annotations

from fleet.rollout.engine import RolloutState
from fleet.rollout.plan import Plan
from fleet.server.schemas import (
    BOOLEAN,
    INTEGER,
    MOMENT,
    NUMBER,
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    Schema,
    listed,
    maybe,
    of_dataclass,
    one_of,
    optional,
    thing,
)

VERSION = thing(name=TEXT, version=TEXT)
_PLAN = of_dataclass(Plan)
_REASON: Schema = {"type": "string", "maxLength": 500}

NEW_DEVICE = thing(id=TEXT)
NEW_ROLLOUT = optional(
    thing(release=VERSION, plan=_PLAN), name={"type": "string", "maxLength": 100}
)
STEERING = optional({"type": "object"}, reason=_REASON)
ROLL_BACK = optional(thing(release=VERSION), group=maybe(TEXT))
ADVANCE = thing(advance_s={"type": "number", "minimum": 0, "maximum": 1e9})

CLOCK = thing(now=MOMENT)
TENANTS = thing(tenants=listed(thing(name=TEXT, poll_s=NUMBER)))
TOKEN = thing(id=TEXT, token=TEXT)
REVOKED = thing(id=TEXT, revoked=BOOLEAN)
DEVICES = thing(
    devices=listed(
        thing(id=TEXT, seen=maybe(MOMENT), attributes=TEXT_BY_NAME, installed=maybe(VERSION))
    ),
    next=maybe(TEXT),
)
_REPORT = thing(
    kind=one_of("deployment", "cancel", "confirmation", "handover"), received=MOMENT, execution=TEXT,
    finished=TEXT, code=maybe(INTEGER), details=TEXTS,
)  # fmt: skip
_ACTION = thing(
    id=INTEGER, rollout=INTEGER, release=VERSION, state=TEXT, offered=maybe(MOMENT),
    ended=maybe(MOMENT), reports=listed(_REPORT),
)  # fmt: skip
DEVICE = thing(
    id=TEXT, created=MOMENT, seen=maybe(MOMENT), revoked=BOOLEAN, attributes=TEXT_BY_NAME,
    actions=listed(_ACTION), telemetry=listed(thing(release=VERSION, updated=MOMENT)),
)  # fmt: skip
RELEASE = thing(
    id=INTEGER, name=TEXT, version=TEXT, workload=TEXT, target=TEXT, filename=TEXT,
    size=INTEGER, sha256=TEXT, minimum=TEXT_BY_NAME, created=MOMENT,
)  # fmt: skip
RELEASES = thing(releases=listed(RELEASE))
_STATE = one_of(*map(str, RolloutState))
_SUMMARY = thing(
    id=INTEGER, name=TEXT, state=_STATE, reason=TEXT, release=VERSION, created=MOMENT,
    started=maybe(MOMENT),
)  # fmt: skip
ROLLOUTS = thing(rollouts=listed(_SUMMARY))
_GROUP = thing(
    name=TEXT, state=one_of("waiting", "running", "done"), begun=maybe(MOMENT), done=maybe(MOMENT),
    devices=INTEGER, touched=INTEGER, in_flight=INTEGER, success=INTEGER, error=INTEGER,
    timed_out=INTEGER, canceled=INTEGER,
)  # fmt: skip
_BET = thing(
    metric=TEXT, direction=one_of("higher", "lower"), slice=TEXT, pairs=INTEGER, worse=INTEGER,
    times=NUMBER, evidence=NUMBER, limit=NUMBER, breach=BOOLEAN,
)  # fmt: skip
ROLLOUT: Schema = {
    "allOf": [
        _SUMMARY,
        thing(rolls_back=maybe(INTEGER), groups=listed(_GROUP), quality=listed(_BET), plan=_PLAN),
    ]
}
AUDIT = thing(
    entries=listed(
        thing(id=INTEGER, at=MOMENT, who=TEXT, what=TEXT, subject=TEXT, details={"type": "object"})
    )
)
