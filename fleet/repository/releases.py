"""Releases, and how they stand in TUF targets metadata.

A release is a target with the path ``NAME/NAME-VERSION.bundle``. Its custom field holds name,
version, workload, digest (SHA-256 of the bundle, hex) and ``minimum`` (least versions of agent and
runtimes), so that a device can choose, and refuse, before it downloads anything.
"""

from __future__ import annotations

import dataclasses
import re

from tuf.api.metadata import TargetFile, Targets

from edge_agent.bundle.archive import Bundle
from fleet.repository import versions
from fleet.repository.errors import ReleaseError, RepositoryDamagedError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Release:
    """A bundle with a version in the repository.

    Attributes:
        name: the line of releases it belongs to, e.g. ``keyword_spotting``.
        version: its semantic version within that line.
        target: its path in the repository's targets.
        digest: SHA-256 of the bundle, hex.
        new: whether the call that gave it has just made it.
    """

    name: str
    version: str
    target: str
    digest: str
    new: bool = False


def check_name(name: str) -> None:
    """Accepts a name that may stand in paths, URLs and on command lines.

    Raises:
        ReleaseError: otherwise.
    """
    if not _NAME.fullmatch(name):
        raise ReleaseError(
            f"release name {name[:80]!r}: use up to 64 small letters, digits, '_' and '-', "
            "starting with a letter or digit"
        )


def choose_version(released: list[Release], wanted: str | None) -> str:
    """The version for a bundle that is not among `released`: the one wanted, else the next patch.

    Raises:
        ReleaseError: if the wanted version is malformed, or taken by another bundle.
    """
    if wanted is not None:
        version = str(versions.parse(wanted))
        taken = next((r for r in released if r.version == version), None)
        if taken is not None:
            raise ReleaseError(
                f"{taken.target}: version {version} is already released with other content "
                f"({taken.digest[:12]}): choose a higher version"
            )
        return version
    if not released:
        return str(versions.FIRST)
    return str(versions.parse(highest(released).version).next_patch())


def highest(released: list[Release]) -> Release:
    """The release with the highest semantic version; `released` must not be empty."""
    return max(released, key=lambda release: versions.parse(release.version).order)


def make_target(release: Release, bundle: Bundle, data: bytes) -> TargetFile:
    """The TUF target of `release`, which holds `bundle` with the bytes `data`."""
    target = TargetFile.from_data(release.target, data, ["sha256"])
    target.unrecognized_fields["custom"] = {
        "name": release.name,
        "version": release.version,
        "workload": bundle.manifest.workload,
        "digest": release.digest,
        "minimum": dict(bundle.manifest.minimum),
    }
    return target


def read_releases(targets: Targets, name: str) -> list[Release]:
    """All releases called `name`, in no order.

    Raises:
        RepositoryDamagedError: if a release lacks part of its custom field.
    """
    found = []
    for path, target in targets.targets.items():
        custom = target.custom
        if not isinstance(custom, dict) or custom.get("name") != name:
            continue
        try:
            version, digest = str(custom["version"]), str(custom["digest"])
            versions.parse(version)
        except (KeyError, ReleaseError) as e:
            raise RepositoryDamagedError(
                f"target {path}: its custom field is not a release's ({e}): restore the "
                "repository's metadata from a backup"
            ) from e
        found.append(Release(name=name, version=version, target=path, digest=digest))
    return found
