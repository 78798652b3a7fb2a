"""Tables of the lineage store, after ML Metadata (github.com/google/ml-metadata, data model).

A context is a run of a recipe. An execution is one run of one component in it. An artifact is a folder
that an execution made, or one that was there before. An event says that an execution took or made an
artifact, and under which name. The rest says what lies in artifacts, so that one can walk between
files and artifacts after the folders are gone: the files of a bundle, the shards of examples, the
recordings in them, and what a bundle was released as.

The database says which schema it holds in the table `VERSION_TABLE`; `pipeline.lineage.migrations`
leads from each schema to the next. Schema 1 had no such table.
"""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = 3
VERSION_TABLE = "lineage_version"


class Base(DeclarativeBase):
    """Declarative base of all tables."""


class Context(Base):
    """One run of a recipe.

    ``state`` is running, complete, refused (a gate did not hold), failed or interrupted;
    ``environment`` holds the versions of Python and of the packages that decide the outcome;
    ``root`` tells the roots apart that share a database, and is empty in a root's own.
    """

    __tablename__ = "context"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipe: Mapped[str]
    root: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str]
    started: Mapped[datetime.datetime]
    finished: Mapped[datetime.datetime | None]
    environment: Mapped[dict[str, Any]] = mapped_column(JSON)


class Execution(Base):
    """One run of a component: its parameters (seeds among them), cache key, metrics and outcome.

    ``state`` is running, complete, failed, interrupted or cached: then ``original_id`` is the complete
    execution whose outputs were taken. ``key_parts`` is what the cache key was computed from.
    """

    __tablename__ = "execution"

    id: Mapped[int] = mapped_column(primary_key=True)
    context_id: Mapped[int] = mapped_column(ForeignKey("context.id"), index=True)
    original_id: Mapped[int | None] = mapped_column(ForeignKey("execution.id"))
    component: Mapped[str]
    type: Mapped[str]
    state: Mapped[str]
    cache_key: Mapped[str] = mapped_column(index=True)
    key_parts: Mapped[dict[str, Any]] = mapped_column(JSON, server_default=text("'{}'"))
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON)
    started: Mapped[datetime.datetime]
    finished: Mapped[datetime.datetime | None]

    __table_args__ = (Index("execution_by_component", "component", "context_id"),)


class Artifact(Base):
    """A folder with its type and the digest of its content; ``removed`` is when the folder was."""

    __tablename__ = "artifact"

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(index=True)
    uri: Mapped[str] = mapped_column(index=True)
    digest: Mapped[str] = mapped_column(index=True)
    created: Mapped[datetime.datetime]
    removed: Mapped[datetime.datetime | None]


class Event(Base):
    """An execution took (``input``) or made (``output``) an artifact under a name.

    The outputs of a cached execution are those of its original.
    """

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    execution_id: Mapped[int] = mapped_column(ForeignKey("execution.id"))
    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifact.id"))
    direction: Mapped[str]
    name: Mapped[str]

    __table_args__ = (
        Index("event_by_execution", "execution_id"),
        Index("event_by_artifact", "artifact_id"),
    )


class Payload(Base):
    """A file of an artifact that leaves the house by itself: a bundle; SHA-256 of its bytes, hex."""

    __tablename__ = "payload"

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifact.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(index=True)


class Release(Base):
    """What a Release artifact says: the bundle of this digest became this version of a name."""

    __tablename__ = "release"

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifact.id"), primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    digest: Mapped[str] = mapped_column(index=True)


class Shard(Base):
    """A file of examples, by its digest: its members are stored once for all artifacts.

    ``recordings`` is how many it holds; those of one artifact's shards differ.
    """

    __tablename__ = "shard"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    recordings: Mapped[int]


class ArtifactShard(Base):
    """An artifact holds a shard as this file."""

    __tablename__ = "artifact_shard"

    artifact_id: Mapped[int] = mapped_column(ForeignKey("artifact.id"), primary_key=True)
    file: Mapped[str] = mapped_column(primary_key=True)
    shard_id: Mapped[int] = mapped_column(ForeignKey("shard.id"), index=True)


class Recording(Base):
    """A recording as it was ingested: SHA-256 of its file (hex), path in the data, label, speaker."""

    __tablename__ = "recording"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str]
    path: Mapped[str] = mapped_column(index=True)
    label: Mapped[str]
    speaker: Mapped[str] = mapped_column(index=True)

    __table_args__ = (UniqueConstraint("digest", "path", "label", "speaker"),)


class ShardRecording(Base):
    """A shard holds a recording."""

    __tablename__ = "shard_recording"

    shard_id: Mapped[int] = mapped_column(ForeignKey("shard.id"), primary_key=True)
    recording_id: Mapped[int] = mapped_column(
        ForeignKey("recording.id"), primary_key=True, index=True
    )

    __table_args__ = ({"sqlite_with_rowid": False},)
