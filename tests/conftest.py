"""Fixtures that tests of several packages use."""

import os
from pathlib import Path

import hypothesis
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# The suite gives the same verdict each time, however busy the machine; `make fuzz` searches anew.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process is left with one alone at the end."""
    longest = "test_end_to_end.py"
    items.sort(key=lambda test: (test.path.name != longest, not test.get_closest_marker("slow")))


@pytest.fixture(scope="session")
def speech_commands() -> Path:
    """Real recordings: a folder in Speech Commands' layout with lists, and noise beside it."""
    data = Path(os.environ.get("EDGE_DATA") or CHECKOUT.parent / "shared" / "data")
    recordings = data / "speech_commands_v2_subset"
    if not recordings.is_dir():
        pytest.skip("no recordings: EDGE_DATA names no folder with speech_commands_v2_subset")
    return recordings
