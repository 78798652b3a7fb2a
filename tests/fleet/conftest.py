"""Fixtures of the fleet's tests: databases of each kind, and a small fleet in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fleet.store.database import Database, default_url
from tests.fixtures.fleet_server import RunningFleet, running_fleet
from tests.fixtures.postgresql import new_database, new_schema
from tests.fixtures.small_fleet import SmallFleet


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.URL]:
    """A PostgreSQL database; skips where there is no server."""
    with new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.URL]:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        yield default_url(tmp_path)
        return
    with new_schema(request.getfixturevalue("postgresql")) as url:
        yield url


@pytest.fixture
def any_fleet(any_url: sa.URL, tmp_path: Path) -> Iterator[SmallFleet]:
    """A fleet with one tenant and no devices, on each kind of database in turn."""
    database = Database(any_url)
    yield SmallFleet(database, tmp_path)
    database.close()


@pytest.fixture
def small_fleet(tmp_path: Path) -> Iterator[SmallFleet]:
    """A fleet with one tenant and no devices, in SQLite."""
    database = Database(default_url(tmp_path))
    yield SmallFleet(database, tmp_path)
    database.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningFleet]:
    """A fleet with a running server, over SQLite."""
    with running_fleet(default_url(tmp_path), tmp_path) as fleet:
        yield fleet


@pytest.fixture
def any_server(any_url: sa.URL, tmp_path: Path) -> Iterator[RunningFleet]:
    """A fleet with a running server, over each kind of database in turn."""
    with running_fleet(any_url, tmp_path) as fleet:
        yield fleet
