"""What one server process holds: its database, writer, clock, and what it knows of tenants and rollouts.

Everything here can be lost: it is read from the database again. Last polls alone are kept for some
seconds before they are written.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import time
from array import array
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from fleet.control import devices, rollouts, tenants
from fleet.control.standing import Standing, Standings, at_work, live
from fleet.server.clock import Clock
from fleet.server.intake import Intake
from fleet.server.limits import Limits
from fleet.server.lookup import make_lookup
from fleet.server.rooms import Rooms
from fleet.server.writer import Writer
from fleet.store.database import Database
from fleet.store.errors import StoreError
from fleet.store.objects import Objects

T = TypeVar("T")
TICK_S = 1.0
SEEN_S = 10.0
_SEEN_BITS = 16  # of an id: neighbours are those that differ in these alone
_SEEN_AT_ONCE = 20_000  # devices, before those of a further neighbourhood
_BEGIN_S = 30.0
_log = logging.getLogger("fleet")


@dataclasses.dataclass
class Figures:
    """What `/metrics` tells of this process since it began."""

    polls: int = 0
    shown: int = 0
    feedback: int = 0
    refused: int = 0
    artifact_bytes: int = 0


class FleetState:
    """One server process.

    Args:
        root: folder of repositories and artifacts.
        database: its database.
        clock: tells the moment.
        limits: how often anybody may ask.
        objects: the object store, if released files may be in one.
        intake: takes in bundles that signers send; None if this server signs nothing.
    """

    def __init__(
        self,
        root: Path,
        database: Database,
        clock: Clock,
        limits: Limits | None = None,
        objects: Objects | None = None,
        intake: Intake | None = None,
    ) -> None:
        self.intake = intake
        self.objects = objects
        self.limits = limits or Limits()
        self.root = root
        self.database = database
        self.clock = clock
        self.rooms = Rooms()
        self.figures = Figures()
        self.tenants: dict[str, Any] = {}
        self.lookup = make_lookup(database)
        self.writer = Writer(database, clock, self._settled)
        self._seen: defaultdict[int, array[int]] = defaultdict(_ids)
        self._ticking: asyncio.Task[None] | None = None
        self.draining = False

    async def begin(self) -> None:
        """Reads what is there, and lets time pass from now on.

        Raises:
            StoreError: if the database cannot be reached, and not within half a minute either.
        """
        until = time.monotonic() + _BEGIN_S
        while True:
            try:
                await self.refresh()
                break
            except StoreError as e:
                if time.monotonic() > until:
                    raise
                _log.warning("%s", e)
                await asyncio.sleep(TICK_S)
        self._ticking = asyncio.create_task(self._tick_for_ever())

    async def end(self) -> None:
        """Writes what is not written yet, and closes everything."""
        self.draining = True
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        await _go_on_after(self.write_seen)
        await asyncio.to_thread(self.writer.close)
        self.lookup.close()

    def saw(self, device: int) -> None:
        """The device polled."""
        # Appended, for a place among a million devices is one that no cache of the processor holds.
        self._seen[device >> _SEEN_BITS].append(device)

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Does `work` in a thread, in a transaction that reads."""

        def reading() -> T:
            with self.database.read() as connection:
                return work(connection)

        return await asyncio.to_thread(reading)

    async def refresh(self) -> None:
        """Learns what other processes changed, and does what the time demands."""
        found, busy = await self.read(lambda c: (tenants.list_all(c), bool(live(c) or at_work(c))))
        self.tenants = {tenant.name: tenant for tenant in found}
        if busy:
            self.rooms.know(await self.writer.do(rollouts.tick))
        else:
            self.rooms.know([])

    async def write_seen(self) -> None:
        """Writes which devices polled since it was called last; what cannot be written is forgotten."""
        seen, self._seen = self._seen, defaultdict(_ids)

        def write(standings: Standings, some: list[int]) -> None:
            devices.note_polls(standings.connection, standings.now, some)

        # In pieces, so that what devices wait for is written between them; in order, for neighbours lie on
        # one page.
        some: list[int] = []
        for _, ids in sorted(seen.items()):
            some += sorted(set(ids))
            if len(some) >= _SEEN_AT_ONCE:
                await self.writer.do_alone(functools.partial(write, some=some))
                some = []
        if some:
            await self.writer.do_alone(functools.partial(write, some=some))

    async def _tick_for_ever(self) -> None:
        waited = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            waited += TICK_S
            await _go_on_after(self.refresh)
            if waited >= SEEN_S:
                waited = 0.0
                await _go_on_after(
                    self.write_seen
                )  # else polls would heap up while `refresh` fails

    def _settled(self, standings: Sequence[Standing]) -> None:
        self.rooms.take(standings, self.clock())


async def _go_on_after(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except StoreError as e:
        _log.warning("%s", e)
    except Exception:  # noqa: BLE001 - whatever it is, time must not stand still for rollouts
        _log.exception("what is done as time passes was not done")


def _ids() -> array[int]:
    return array("q")
