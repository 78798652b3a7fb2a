"""Schemas of the DDI: what it takes, and what it answers. Devices may send more; it is passed over."""

from __future__ import annotations

from fleet.server.bodies import COUNTS, EXECUTIONS, FINISHED, MOST_TOLD
from fleet.server.schemas import (
    BOOLEAN,
    INTEGER,
    TEXT,
    Schema,
    between,
    listed,
    maybe,
    one_of,
    optional,
    thing,
)

_LINK = thing(href=TEXT)
_LINKS: Schema = {"type": "object", "additionalProperties": _LINK}
_VERSION_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 100}
_DETAILS: Schema = {"description": "texts, or one; what is none is passed over"}
_CODE: Schema = {"description": "a whole number of the device's own; what is none is passed over"}
_RESULT: Schema = {
    "anyOf": [
        optional({"type": "object"}, finished=one_of(*sorted(FINISHED))),
        {"not": {"type": "object"}},
    ]
}

FEEDBACK = thing(
    status=optional(
        thing(execution=one_of(*sorted(EXECUTIONS))),
        result=_RESULT,
        code=_CODE,
        details=_DETAILS,
    )
)
ATTRIBUTES = optional(thing(data={"type": "object"}), mode=one_of("merge", "replace", "remove"))
_COUNT = maybe(between(0, int(MOST_TOLD)))
_AMOUNT = maybe({"type": "number", "minimum": 0, "maximum": MOST_TOLD})
TELEMETRY = optional(
    thing(
        release=thing(name=_VERSION_TEXT, version=_VERSION_TEXT),
        sequence=between(0, 2**62 - 1),
        hours={"type": "number", "exclusiveMinimum": 0, "maximum": MOST_TOLD},
    ),
    **dict.fromkeys(sorted(COUNTS), _COUNT),
    **dict.fromkeys(("busy_ms", "score_sum", "distance"), _AMOUNT),
)
INSTALLED = thing(name=TEXT, version=TEXT)
_WHO: Schema = {"type": "string", "pattern": "^[ -~]*$"}
INITIATOR = optional({"type": "object"}, initiator=maybe(_WHO))
CONSENT = optional(thing(confirmation=one_of("confirmed", "denied")), code=_CODE, details=_DETAILS)

POLL = thing(
    config=thing(polling=thing(sleep={"type": "string", "pattern": "^[0-9]{2}(:[0-5][0-9]){2}$"})),
    _links=_LINKS,
)
_ARTIFACT = thing(
    filename=TEXT, hashes=thing(sha1=TEXT, md5=TEXT, sha256=TEXT), size=INTEGER, _links=_LINKS
)
_CHUNK = thing(
    part=TEXT, version=TEXT, name=TEXT, artifacts=listed(_ARTIFACT, 1),
    metadata=listed(thing(key=TEXT, value=TEXT)),
)  # fmt: skip
_DEPLOYMENT = thing(download=TEXT, update=TEXT, chunks=listed(_CHUNK, 1))
_HISTORY = thing(status=TEXT, messages=listed(TEXT))
DEPLOYMENT = optional(thing(id=TEXT, deployment=_DEPLOYMENT), actionHistory=_HISTORY)
CONFIRMATION = optional(thing(id=TEXT, confirmation=_DEPLOYMENT), actionHistory=_HISTORY)
CANCEL = thing(id=TEXT, cancelAction=thing(stopId=TEXT))
CONFIRMATIONS = thing(autoConfirm=optional(thing(active=BOOLEAN), initiator=TEXT), _links=_LINKS)
ARTIFACTS = listed(_ARTIFACT)
