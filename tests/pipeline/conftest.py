"""Fixtures of the pipeline's tests: lineage stores on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.lineage.store import LineageStore
from tests.fixtures.postgresql import new_database, new_schema


@pytest.fixture(scope="session")
def postgresql() -> Iterator[sa.URL]:
    """A PostgreSQL database; skips where there is no server."""
    with new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LineageStore]:
    """An empty store, on each kind of database in turn."""
    if request.param == "sqlite":
        store = LineageStore.at(tmp_path)
        yield store
        store.close()
        return
    with new_schema(request.getfixturevalue("postgresql")) as url:
        store = LineageStore(url)
        yield store
        store.close()
