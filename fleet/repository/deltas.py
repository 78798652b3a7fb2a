"""Smaller ways to a release: deltas from the releases that the field runs, and itself compressed.

A delta is a TUF target of its own, so a device verifies it before it reads it. The release's custom
field lists them as ``deltas``: ``[{"base": SHA-256 or "", "target": path, "bytes": size, "format": 2}, ..]``,
without the format where it is the first. A delta is published only where it is the smallest way for its base.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from tuf.api.metadata import TargetFile, Targets

from edge_agent.bundle import delta
from fleet.repository import versions
from fleet.repository.releases import Release


@dataclasses.dataclass(frozen=True)
class Delta:
    """A delta to a release, ready to be published.

    Attributes:
        base: digest of the bundle that it starts from; empty where it needs none.
        target: it, as TUF describes it.
        data: its bytes.
    """

    base: str
    target: TargetFile
    data: bytes


def make_deltas(release: Release, new: bytes, bases: dict[Release, bytes]) -> Iterator[Delta]:
    """The deltas to `release`, whose bundle is `new`, from the bundles `bases` and from nothing."""
    stem = f"{release.name}/deltas/{release.name}-{release.version}"
    compressed = delta.make(None, new)
    limit = len(new)
    if len(compressed) < limit:
        yield _delta("", f"{stem}.delta", compressed)
        limit = len(compressed)
    for base, old in bases.items():
        data = delta.make(old, new)
        if len(data) < limit:
            yield _delta(base.digest, f"{stem}-from-{base.version}.delta", data)


def _delta(base: str, path: str, data: bytes) -> Delta:
    return Delta(base, TargetFile.from_data(path, data, ["sha256"]), data)


def list_deltas(targets: Targets, release: Release, deltas: list[Delta]) -> None:
    """Adds `deltas` to the metadata `targets`, under `release`, which is there already."""
    if not deltas:
        return
    for one in deltas:
        targets.targets[one.target.path] = one.target
    custom = targets.targets[release.target].unrecognized_fields["custom"]
    custom["deltas"] = [_entry(one) for one in deltas]


def _entry(one: Delta) -> dict[str, Any]:
    entry = {"base": one.base, "target": one.target.path, "bytes": one.target.length}
    number = delta.format_of(one.data)
    return entry if number == 1 else entry | {"format": number}


def drop_deltas(targets: Targets, release: Release) -> None:
    """Takes the deltas to `release` out of the metadata, so that it does not grow for ever."""
    custom: dict[str, Any] = targets.targets[release.target].unrecognized_fields["custom"]
    for entry in custom.pop("deltas", []):
        targets.targets.pop(entry["target"], None)


def newest(released: list[Release], count: int) -> list[Release]:
    """The `count` releases with the highest semantic versions, highest first."""
    order = sorted(released, key=lambda r: versions.parse(r.version).order, reverse=True)
    return order[:count]
