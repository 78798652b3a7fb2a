"""What one server process does by itself: it waits for its database, and lets time pass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from fleet.control.standing import at_work
from fleet.server import fleet_state
from fleet.server.clock import SimulatedClock
from fleet.server.fleet_state import FleetState
from fleet.store.errors import StoreError
from fleet.store.schema import DEVICE


@pytest.fixture
def failing(small_fleet, monkeypatch):
    """A state whose look into the database fails so often, and then no more."""
    monkeypatch.setattr(fleet_state, "TICK_S", 0.01)
    proper = FleetState.refresh

    def failing(error: Exception, after: int, times: int) -> tuple[FleetState, list[int]]:
        calls = [0]

        async def refresh(self):
            calls[0] += 1
            if after < calls[0] <= after + times:
                raise error
            await proper(self)

        monkeypatch.setattr(FleetState, "refresh", refresh)
        clock = SimulatedClock(small_fleet.now)
        return FleetState(small_fleet.root, small_fleet.database, clock), calls

    return failing


async def live(state: FleetState, calls: list[int], until: int) -> None:
    await state.begin()
    async with asyncio.timeout(30):
        while calls[0] < until:
            await asyncio.sleep(0.01)
    await state.end()


def test_it_waits_for_a_database_that_comes_late(failing):
    state, calls = failing(StoreError("it is starting up"), 0, 3)
    asyncio.run(live(state, calls, 5))
    assert list(state.tenants) == ["default"]


@pytest.mark.parametrize("error", [StoreError("away"), ValueError("our own mistake")])
def test_time_goes_on_after_an_error(failing, error):
    state, calls = failing(error, 2, 2)
    asyncio.run(live(state, calls, 8))


def test_last_polls_are_written_in_pieces(small_fleet, monkeypatch):
    monkeypatch.setattr(fleet_state, "_SEEN_AT_ONCE", 2)
    ids = small_fleet.add_devices(5)
    state = FleetState(small_fleet.root, small_fleet.database, SimulatedClock(2000.0))

    async def poll() -> int:
        await state.begin()
        for device in ids[:-1]:
            state.saw(device)
        before = state.writer.transactions
        await state.write_seen()
        written = state.writer.transactions - before
        await state.end()
        return written

    assert asyncio.run(poll()) == 2
    with small_fleet.database.read() as connection:
        seen = connection.scalars(sa.select(DEVICE.c.seen).order_by(DEVICE.c.id)).all()
    assert seen == [2000.0] * 4 + [None]


def test_what_it_looks_at_every_second_is_not_all_that_ever_was(small_fleet):
    """A fleet of years has millions of actions that ended."""
    ids = small_fleet.add_devices(8)
    small_fleet.start(small_fleet.release("1.0.0"))
    for _ in range(4):
        small_fleet.go_round(ids)
    newer = small_fleet.start(small_fleet.release("1.1.0"))
    with small_fleet.database.read() as connection:
        assert at_work(connection) == []
    assert any(small_fleet.poll(device) for device in ids)
    asked: list[Any] = []
    with small_fleet.database.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *told: asked.append(told[2:4]))
        assert at_work(connection) == [newer]
    (query,) = asked
    with small_fleet.database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query[0]}", query[1]).all()
    (searched,) = [row[3] for row in plan if " action " in row[3]]
    assert searched.startswith("SEARCH")
    assert "state=?" in searched, "no action is looked at that is not at work"
