"""What lies in artifacts: a bundle's file, a release's version, the recordings in shards of examples.

It is read from the artifact's folder when its execution ends, so that the walk between files and
artifacts does not need the folder later. A shard's members are stored once, by the shard's digest: of
an artifact that shares all shards but one with another, one is stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from components.artifacts import BUNDLE, EXAMPLES, RELEASE, read_json
from components.members import MEMBERS, ShardMembers, digest_of, read_members
from pipeline.lineage.schema import (
    ArtifactShard,
    Base,
    Payload,
    Recording,
    Release,
    Shard,
    ShardRecording,
)

Transaction = Callable[[], AbstractContextManager[Session]]

_BATCH = 500  # digests that are asked for at once; SQLite takes 32,766 values in a statement


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """What is recorded of an artifact beside its folder's digest.

    Attributes:
        payloads: digest of each file that leaves the house by itself, by name.
        release: ``release.json`` of a Release artifact.
        shards: digest of each shard of an Examples artifact, by file name.
    """

    payloads: Mapping[str, str] = dataclasses.field(default_factory=dict)
    release: Mapping[str, Any] | None = None
    shards: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_contents(type_: str, folder: Path, transaction: Transaction) -> Contents:
    """The contents of the artifact of this type in `folder`; what its files do not tell is left out.

    Shards that are not known yet are recorded with their members, in a `transaction` each.
    """
    if type_ == BUNDLE.name:
        bundles = sorted(folder.glob("*.bundle"))
        return Contents(payloads={path.name: digest_of(path) for path in bundles})
    if type_ == RELEASE.name and (folder / "release.json").exists():
        return Contents(release=read_json(folder / "release.json"))
    if type_ == EXAMPLES.name and (folder / MEMBERS).exists():
        shards = {}
        for shard in read_members(folder):
            with transaction() as session:
                _add_shard(session, shard)
            shards[shard.file] = shard.digest
        return Contents(shards=shards)
    return Contents()


def add_contents(session: Session, artifact: int, contents: Contents) -> None:
    """Records the contents that `read_contents` gave of an artifact."""
    for name, digest in contents.payloads.items():
        session.add(Payload(artifact_id=artifact, name=name, digest=digest))
    if contents.release is not None:
        keys = ("name", "version", "digest")
        session.add(Release(artifact_id=artifact, **{key: contents.release[key] for key in keys}))
    ids: dict[str, int] = {}
    for digests in _batches(sorted(set(contents.shards.values()))):
        query = select(Shard.digest, Shard.id).where(Shard.digest.in_(digests))
        ids.update((digest, id_) for digest, id_ in session.execute(query))
    for file, digest in contents.shards.items():
        session.add(ArtifactShard(artifact_id=artifact, file=file, shard_id=ids[digest]))


def _add_shard(session: Session, shard: ShardMembers) -> None:
    members = sorted({(m.digest, m.path, m.label, m.speaker) for m in shard.recordings})
    new = _insert_new(session, Shard).values(digest=shard.digest, recordings=len(members))
    id_ = session.scalars(new.returning(Shard.id)).first()
    if id_ is None or not members:
        return
    columns = ("digest", "path", "label", "speaker")
    rows = [dict(zip(columns, member, strict=True)) for member in members]
    session.connection().execute(_insert_new(session, Recording), rows)
    ids: dict[tuple[str, ...], int] = {}
    for digests in _batches(sorted({digest for digest, *_ in members})):
        query = select(*(getattr(Recording, c) for c in columns), Recording.id)
        found = session.execute(query.where(Recording.digest.in_(digests)))
        ids.update({tuple(row[:-1]): row[-1] for row in found})
    links = [{"shard_id": id_, "recording_id": ids[member]} for member in members]
    session.connection().execute(_insert_new(session, ShardRecording), links)


def _batches(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def _insert_new(session: Session, table: type[Base]) -> Any:
    """An insert that passes over rows which are there."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    return dialect.insert(table.__table__).on_conflict_do_nothing()
