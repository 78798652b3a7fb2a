"""What became of each fire of a schedule, kept in the database in which APScheduler keeps its job."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from components.base import UserError

State = Literal[
    "running", "complete", "refused", "failed", "interrupted", "unchanged", "skipped", "missed"
]


class _Base(DeclarativeBase):
    pass


class Fire(_Base):
    """One fire of the schedule.

    ``state`` is running, or how it ended: complete, refused (by a gate), failed, interrupted (the
    scheduler ended), unchanged (no new recordings), skipped (another run was under way) or missed
    (the scheduler was not there). ``data`` is the digest of the listing that a run started from.
    """

    __tablename__ = "fire"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    reason: Mapped[str]
    run: Mapped[int | None]
    data: Mapped[str | None]
    started: Mapped[datetime.datetime]
    finished: Mapped[datetime.datetime | None]


class Ledger:
    """The fires of one schedule.

    Args:
        path: the SQLite database; made if it is missing.

    Raises:
        UserError: if the file is something else, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.engine: Engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        try:
            _Base.metadata.create_all(self.engine)
        except DatabaseError as e:
            raise UserError(
                f"{path}: cannot be used as the schedule's store ({e.orig}): move it away; "
                "a new one is made"
            ) from e

    def close(self) -> None:
        """Gives the connections back."""
        self.engine.dispose()

    def begin(self) -> int:
        """Records a fire that starts now; gives its id."""
        with self._session() as session:
            fire = Fire(state="running", reason="", started=_now())
            session.add(fire)
            session.flush()
            return fire.id

    def end(self, fire: int, state: State, reason: str, run: int | None, data: str | None) -> None:
        """Records how a fire ended."""
        with self._session() as session:
            row = session.get_one(Fire, fire)
            row.state, row.reason, row.run, row.data = state, reason, run, data
            row.finished = _now()

    def pass_over(self, due: datetime.datetime, state: State, reason: str) -> None:
        """Records a fire that was due at `due` and never started."""
        with self._session() as session:
            moment = due.astimezone(datetime.UTC).replace(tzinfo=None)
            session.add(Fire(state=state, reason=reason, started=moment, finished=_now()))

    def end_cut_off(self) -> bool:
        """Records fires that a scheduler left running when it died.

        Tells whether the last fire that started was cut off, by that or by the scheduler's end.
        """
        with self._session() as session:
            for fire in session.scalars(select(Fire).where(Fire.state == "running")):
                fire.state, fire.reason = "interrupted", "the scheduler died"
            session.flush()
            started = Fire.state.not_in(("skipped", "missed"))
            last = select(Fire.state).where(started).order_by(Fire.id.desc()).limit(1)
            return session.scalars(last).first() == "interrupted"

    def recent(self, count: int) -> list[Fire]:
        """The last `count` fires, the oldest of them first."""
        with self._session() as session:
            return list(session.scalars(select(Fire).order_by(Fire.id.desc()).limit(count)))[::-1]

    def last_complete_data(self) -> str | None:
        """The digest of the listing from which the last complete run started."""
        with self._session() as session:
            return session.scalars(
                select(Fire.data).where(Fire.state == "complete").order_by(Fire.id.desc()).limit(1)
            ).first()

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
