"""How long is waited: bounded, by lot, and as the server asks."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.update.waiting import Deadline, Limits, Pace, back_off, retry_after

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


@given(st.integers(0, 10**6), st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_back_off_never_passes_its_bounds(attempt, longest, chance):
    assert 0 <= back_off(attempt, longest, chance) <= min(longest, 2.0 ** min(attempt, 100))


def test_back_off_doubles_and_spreads():
    assert [back_off(n, 60, 0.5) for n in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert back_off(3, 60, 0.0) == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Thu, 26 Nov 2026 12:00:30 GMT", 30),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1e9", None),
        ("soon", None),
        ("9" * 400, None),
        ("Thu, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_what_retry_after_asks_for(header, seconds):
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=60))
def test_any_retry_after_is_read_or_ignored(header):
    found = retry_after(header, NOW)
    assert found is None or found >= 0


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(st.integers(1, 10**7), st.lists(st.integers(1, 65536), min_size=1, max_size=50))
def test_the_pace_is_kept(rate, asked):
    clock = Clock()
    pace = Pace(rate, lambda: clock.now, clock.sleep)
    sizes = [pace.piece(size) for size in asked]
    for size in sizes:
        pace.spend(size)
    assert clock.now - 1000.0 == pytest.approx(sum(sizes) / rate, rel=1e-6, abs=1e-6)


def test_no_pace_asks_for_all_and_waits_for_nothing():
    clock = Clock()
    pace = Pace(None, lambda: clock.now, clock.sleep)
    assert pace.piece(65536) == 65536
    pace.spend(10**9)
    assert clock.now == 1000.0


def test_a_deadline_shortens_the_last_wait_and_then_ends_it():
    assert Deadline(time.monotonic() + 100).next_wait(5) == 5
    assert Deadline(time.monotonic() + 1).next_wait(5) <= 1
    with pytest.raises(TimeoutError):
        Deadline(time.monotonic()).next_wait(5)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Limits(bytes_per_second=0)
