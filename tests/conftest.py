"""Fixtures that tests of several packages use."""

import os
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# The suite gives the same verdict each time, however busy the machine; `make fuzz` searches anew.
_PATIENT: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("suite", derandomize=True, **_PATIENT)
hypothesis.settings.register_profile("fuzz", max_examples=20_000, **_PATIENT)
hypothesis.settings.load_profile("suite")

# Whoever starts the suite may ignore Ctrl-C, as a shell does for what it starts in the background;
# the processes that tests start and interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
