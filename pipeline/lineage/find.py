"""What a person means on the command line: an artifact, a bundle, a release or recordings.

A file is known by its content wherever it lies, and by its name where it is gone.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import ColumnElement, false, select
from sqlalchemy.orm import Session

from components.artifacts import RECORDINGS
from components.base import UserError
from components.members import digest_of
from pipeline.lineage.schema import Artifact, Payload, Recording, Release

_DIGEST = re.compile(r"[0-9a-f]{12,64}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What was meant: an artifact, or else recordings.

    Attributes:
        artifact: the newest artifact that it is.
        recordings: those that it is, as a condition on their table.
    """

    artifact: Artifact | None = None
    recordings: ColumnElement[bool] = dataclasses.field(default_factory=false)


def find(session: Session, target: str) -> Found:
    """The artifact or the recordings that `target` names.

    It is a file or folder, the id of an artifact, ``NAME@VERSION`` of a release, or 12 or more digits of
    the SHA-256 of a bundle, an artifact or a recording.

    Raises:
        UserError: if nothing that was recorded is meant.
    """
    path = Path(target).absolute()
    artifact = _by_name(session, target)
    if artifact is None and path.is_file():
        found = _by_digest(session, digest_of(path))
        if found is not None:
            return found
    if artifact is None and _DIGEST.fullmatch(target):
        found = _by_digest(session, target)
        if found is not None:
            return found
    artifact = artifact or _by_folder(session, path)
    if artifact is not None:
        return Found(artifact=artifact)
    query = select(Recording.path).where(Recording.path.in_(_ends(target))).distinct()
    recorded = max(session.scalars(query), key=len, default=None)
    if recorded is not None:
        return Found(recordings=Recording.path == recorded)
    raise UserError(
        f"{target}: no run recorded it: name a bundle, a recording, an artifact's folder or id, a "
        "release as NAME@VERSION, or a SHA-256"
    )


def speaker(session: Session, name: str) -> Found:
    """The recordings of a speaker.

    Raises:
        UserError: if no run has taken any.
    """
    recordings = Recording.speaker == name
    if not _any(session, recordings):
        raise UserError(f"--speaker {name}: no run has taken a recording of a speaker of that name")
    return Found(recordings=recordings)


def bundle_of(session: Session, digest: str) -> Artifact | None:
    """The newest artifact that holds the bundle of this digest, or of digests that begin so."""
    query = (
        select(Artifact)
        .join(Payload, Payload.artifact_id == Artifact.id)
        .where(_begins(Payload.digest, digest))
    )
    return session.scalars(query.order_by(Artifact.id.desc()).limit(1)).first()


def _by_name(session: Session, target: str) -> Artifact | None:
    if target.isascii() and target.isdigit() and len(target) < 10:
        return session.get(Artifact, int(target))
    name, at, version = target.rpartition("@")
    query = (
        select(Artifact)
        .join(Release, Release.artifact_id == Artifact.id)
        .where(Release.name == name, Release.version == version)
    )
    return session.scalars(query.order_by(Artifact.id.desc()).limit(1)).first() if at else None


def _by_digest(session: Session, digest: str) -> Found | None:
    artifact = bundle_of(session, digest)
    if artifact is not None:
        return Found(artifact=artifact)
    recordings = _begins(Recording.digest, digest)
    if _any(session, recordings):
        return Found(recordings=recordings)
    query = select(Artifact).where(_begins(Artifact.digest, digest))
    artifact = session.scalars(query.order_by(Artifact.id.desc()).limit(1)).first()
    return None if artifact is None else Found(artifact=artifact)


def _by_folder(session: Session, path: Path) -> Artifact | None:
    """The artifact at `path`, or in whose folder it lies."""
    around = [str(folder) for folder in path.parents]
    inside = Artifact.uri.in_(around) & (Artifact.type != RECORDINGS.name)
    found = session.scalars(select(Artifact).where((Artifact.uri == str(path)) | inside))
    return max(found, key=lambda a: (len(a.uri), a.id), default=None)


def _ends(target: str) -> list[str]:
    """The paths within a folder of recordings that `target` may be."""
    parts = PurePosixPath(target).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _begins(column: Any, digest: str) -> ColumnElement[bool]:
    """A range, which an index of any database serves; hex digits come before ``g``."""
    return (
        (column == digest) if len(digest) == 64 else ((column >= digest) & (column < digest + "g"))
    )


def _any(session: Session, recordings: ColumnElement[bool]) -> bool:
    return session.scalars(select(Recording.id).where(recordings).limit(1)).first() is not None
