"""What one server process does by itself: it waits for its database, and lets time pass."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa

from fleet.control import devices, standing
from fleet.control.standing import at_work
from fleet.server import fleet_state
from fleet.server.clock import SimulatedClock
from fleet.server.fleet_state import FleetState
from fleet.store.database import Database, default_url
from fleet.store.errors import StoreError
from tests.fixtures.fleet_server import links, running_fleet
from tests.fixtures.small_fleet import CANARY

ALL = dataclasses.replace(CANARY, percent=100, exposure=100)


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


@pytest.mark.parametrize("error", [StoreError("away"), ValueError("our own mistake")])
def test_polls_do_not_heap_up_while_the_look_into_the_database_fails(
    failing, small_fleet, monkeypatch, error
):
    monkeypatch.setattr(fleet_state, "SEEN_S", 0.02)
    (device,) = small_fleet.add_devices(1)
    state, _ = failing(error, 1, 1_000_000)

    async def go() -> Any:
        await state.begin()
        state.saw(device)
        async with asyncio.timeout(60):
            while (row := await state.read(find)).seen is None:
                await asyncio.sleep(0.01)
        await state.end()
        return row

    def find(connection: sa.Connection) -> Any:
        return devices.find(connection, small_fleet.tenant.id, "device-0")

    assert asyncio.run(go()).seen == small_fleet.now


def test_it_ends_in_order_where_last_polls_cannot_be_written(small_fleet, caplog):
    state = FleetState(small_fleet.root, small_fleet.database, SimulatedClock(small_fleet.now))

    async def go() -> None:
        await state.begin()
        state.saw(404)  # a device that is gone
        await state.end()
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            await state.lookup.find(small_fleet.tenant.id, "device-0")

    asyncio.run(go())
    assert "FOREIGN KEY" in caplog.text


def test_last_polls_are_written_in_pieces(any_fleet, monkeypatch):
    monkeypatch.setattr(fleet_state, "_SEEN_BITS", 1)
    monkeypatch.setattr(fleet_state, "_SEEN_AT_ONCE", 2)
    ids = any_fleet.add_devices(5)
    clock = SimulatedClock(2000.0)
    state = FleetState(any_fleet.root, any_fleet.database, clock)

    async def poll(devices: list[int]) -> int:
        for device in devices:
            state.saw(device)
        before = state.writer.transactions
        await state.write_seen()
        return state.writer.transactions - before

    async def go() -> list[int]:
        await state.begin()
        written = [await poll([*ids[:-1], ids[0]])]
        clock.advance(60.0)
        written += [await poll(ids[1:2]), await poll([])]
        await state.end()
        return written

    assert asyncio.run(go()) == [2, 1, 0]
    with any_fleet.database.read() as connection:
        told = devices.listing(connection, any_fleet.tenant.id)
        assert [device["seen"] for device in told] == [2000.0, 2060.0, 2000.0, 2000.0, None]
        assert devices.find(connection, any_fleet.tenant.id, "device-1").seen == 2060.0


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


def test_rollouts_that_are_finished_are_not_counted_every_second(small_fleet, monkeypatch):
    """Of years of rollouts the newest may still wait for a device; the others have nothing to come."""
    ids = small_fleet.add_devices(8)
    rollouts_ = [small_fleet.start(small_fleet.release(f"1.{n}.0"), ALL) for n in range(2)]
    for _ in range(3):
        small_fleet.go_round(ids)
    assert small_fleet.status(rollouts_[1])["state"] == "finished"
    proper, counted = standing.count, []

    def count(connection, rollout, groups):
        counted.append(rollout)
        return proper(connection, rollout, groups)

    monkeypatch.setattr(standing, "count", count)
    small_fleet.tick(1.0)
    assert counted == []
    (late,) = small_fleet.add_devices(1, "late")
    counted.clear()
    small_fleet.tick(1.0)
    assert counted == [rollouts_[1]]
    assert small_fleet.poll(late) is not None


def test_a_device_that_timed_out_of_a_finished_rollout_is_shown_its_action_on(tmp_path):
    """By a server that has just begun, too, and has counted nothing of that rollout."""
    with running_fleet(default_url(tmp_path), tmp_path) as first:
        slow, *ids = first.add_devices(8)
        rollout = first.start(first.release("1.0.0"), ALL)
        first.pass_time()
        assert "deploymentBase" in links(first.device("device-0").get(""))
        first.now = first.clock()
        first.go_round(ids)
        first.pass_time(200.0)
        (action,) = first.actions(slow)
        assert (action.state, first.status(rollout)["state"]) == ("timed_out", "finished")
    database = Database(default_url(tmp_path))
    state = FleetState(tmp_path, database, SimulatedClock(2000.0))

    async def shown() -> Any:
        await state.begin()
        found = await state.lookup.find(1, "device-0")
        assert found is not None
        answer = state.rooms.show(found.actions)
        await state.end()
        return answer

    assert asyncio.run(shown()).resource == "deploymentBase"
    database.close()
