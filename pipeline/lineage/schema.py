"""Tables of the lineage store, after ML Metadata (github.com/google/ml-metadata, data model).

A context is a run of a recipe. An execution is one run of one component in it. An artifact is a folder
that an execution made, or one that was there before. An event says that an execution took or made an
artifact, and under which name.
"""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Declarative base of all tables."""


class Context(Base):
    """One run of a recipe.

    ``state`` is running, complete, refused (a gate did not hold), failed or interrupted;
    ``environment`` holds the versions of Python and of the packages that decide the outcome.
    """

    __tablename__ = "context"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipe: Mapped[str]
    state: Mapped[str]
    started: Mapped[datetime.datetime]
    finished: Mapped[datetime.datetime | None]
    environment: Mapped[dict[str, Any]] = mapped_column(JSON)


class Execution(Base):
    """One run of a component: its parameters (seeds among them), cache key, metrics and outcome."""

    __tablename__ = "execution"

    id: Mapped[int] = mapped_column(primary_key=True)
    context_id: Mapped[int] = mapped_column(ForeignKey("context.id"), index=True)
    component: Mapped[str]
    type: Mapped[str]
    state: Mapped[str]
    cache_key: Mapped[str] = mapped_column(index=True)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    metrics: Mapped[dict[str, Any]] = mapped_column(JSON)
    started: Mapped[datetime.datetime]
    finished: Mapped[datetime.datetime | None]


class Artifact(Base):
    """A folder with its type and the digest of its content."""

    __tablename__ = "artifact"

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(index=True)
    uri: Mapped[str]
    digest: Mapped[str] = mapped_column(index=True)
    created: Mapped[datetime.datetime]


class Event(Base):
    """An execution took (``input``) or made (``output``) an artifact under a name."""

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
