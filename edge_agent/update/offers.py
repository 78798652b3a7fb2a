"""What a repository says of a release, in the custom field of its target, signed by the targets key."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from edge_agent.bundle.delta import NEWEST_FORMAT
from edge_agent.decoding import DecodeError, decode

_MAX_DELTAS = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeltaOffer:
    """A smaller way to a release.

    Attributes:
        base: SHA-256 (hex) of the bundle that it starts from; empty where it needs none.
        target: the delta's path in the repository.
        bytes: its size.
        format: the number of the format that it takes; see `edge_agent.bundle.delta`.
    """

    base: str
    target: str
    bytes: int
    format: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """A release.

    Attributes:
        name: the line of releases.
        version: its semantic version.
        workload: which workload of the agent runs it.
        digest: SHA-256 of the bundle, hex.
        minimum: least versions, by ``agent``, ``tflite_runtime``, ``litert``.
        deltas: smaller ways to it.
    """

    name: str
    version: str
    workload: str
    digest: str
    minimum: dict[str, str]
    deltas: tuple[DeltaOffer, ...] = ()


def read_offer(custom: Any) -> Offer | None:
    """The release that the custom field `custom` describes; None if it describes none.

    A delta that is not well described is left out, and never hides its release.
    """
    if not isinstance(custom, dict):
        return None
    try:
        offer = decode(Offer, {name: custom[name] for name in custom if name != "deltas"})
    except DecodeError:
        return None
    return dataclasses.replace(offer, deltas=tuple(_deltas(custom.get("deltas"))))


def _deltas(listed: Any) -> Iterator[DeltaOffer]:
    for value in listed[:_MAX_DELTAS] if isinstance(listed, list) else ():
        try:
            delta = decode(DeltaOffer, value)
        except DecodeError:
            continue
        if delta.bytes > 0 and 1 <= delta.format <= NEWEST_FORMAT:
            yield delta
