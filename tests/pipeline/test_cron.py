"""Cron expressions: when they fire, against the plain reading of crontab(5), and what is wrong with them."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.base import UserError
from pipeline.schedule.cron import trigger, zone

UTC = datetime.UTC
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> str:
    """One field: stars, numbers, ranges, steps, lists of them."""

    def item() -> str:
        match draw(st.sampled_from(["star", "star step", "number", "range", "range step"])):
            case "star":
                return "*"
            case "star step":
                return f"*/{draw(st.integers(1, (high - low) // 2))}"
            case "number":
                return str(draw(st.integers(low, high)))
            case kind:
                first = draw(st.integers(low, high - 2))
                last = draw(st.integers(first + 2, high))
                return f"{first}-{last}" + ("/2" if kind == "range step" else "")

    return ",".join(item() for _ in range(draw(st.integers(1, 3))))


def numbers(field: str, low: int, high: int) -> set[int]:
    """The values that a field means, read plainly."""
    found: set[int] = set()
    for item in field.split(","):
        what, _, step = item.partition("/")
        first, dash, last = what.partition("-")
        if what == "*":
            start, end = low, high
        else:
            start = int(first)
            end = int(last) if dash else start
        found.update(range(start, end + 1, int(step or 1)))
    return found


def cron(expression: str) -> Callable[[datetime.datetime], bool]:
    """Whether cron runs `expression` in a minute; crontab(5)."""
    words = expression.split()
    minutes, hours, days, months = (
        numbers(word, *bounds) for word, bounds in zip(words[:4], BOUNDS[:4], strict=True)
    )
    weekdays = {day % 7 for day in numbers(words[4], 0, 6 if words[4].startswith("*") else 7)}
    either = not words[2].startswith("*") and not words[4].startswith("*")

    def runs(at: datetime.datetime) -> bool:
        by_day, by_weekday = at.day in days, at.isoweekday() % 7 in weekdays
        day = (by_day or by_weekday) if either else (by_day and by_weekday)
        return at.minute in minutes and at.hour in hours and at.month in months and day

    return runs


@given(
    st.tuples(*(fields(*bounds) for bounds in BOUNDS)).map(" ".join),
    st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2028, 12, 31)),
)
def test_the_next_fire_is_the_first_minute_that_cron_runs(expression, start):
    start = start.replace(second=0, microsecond=0, tzinfo=UTC)
    found = None
    with contextlib.suppress(UserError):  # of the 31st of a short month
        found = trigger(expression, UTC).get_next_fire_time(None, start)
    runs = cron(expression)
    for after in range(24 * 60):
        at = start + after * datetime.timedelta(minutes=1)
        if at == found:
            break
        assert not runs(at)
    assert found is None or runs(found)


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("0 3 * * *", "2026-11-27 03:00:00"),
        ("0 3 * * 0", "2026-11-29 03:00:00"),  # Sunday
        ("0 3 * * 7", "2026-11-29 03:00:00"),
        ("0 3 * * Fri-Sun", "2026-11-27 03:00:00"),
        ("0 3 13 * fri", "2026-11-27 03:00:00"),  # the 13th, or a Friday
        ("0 3 13 * *", "2026-12-13 03:00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
        ("0 0 1 JAN *", "2027-01-01 00:00:00"),
        ("*/20 * * * * *", "2026-11-26 12:00:20"),
    ],
)
def test_a_thursday_noon_is_followed_by(expression, following):
    noon = datetime.datetime(2026, 11, 26, 12, 0, 1, tzinfo=UTC)
    found = trigger(expression, UTC).get_next_fire_time(None, noon)
    assert found.replace(tzinfo=None).isoformat(sep=" ") == following


def test_the_hours_are_those_of_the_time_zone_summer_and_winter():
    berlin = trigger("30 3 * * *", ZoneInfo("Europe/Berlin"))
    start = datetime.datetime(2026, 10, 23, 12, tzinfo=UTC)
    times = []
    for _ in range(3):
        start = berlin.get_next_fire_time(None, start) + datetime.timedelta(seconds=1)
        times.append(start.astimezone(UTC).strftime("%d. %H:%M"))
    assert times == ["24. 01:30", "25. 02:30", "26. 02:30"]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 25 * * *", "the hour is 25; it takes 0-23"),
        ("61 * * * *", "the minute is 61; it takes 0-59"),
        ("* * 0 * *", "the day of month is 0; it takes 1-31"),
        ("* * * 13 *", "the month is 13; it takes 1-12"),
        ("* * * * 8", "the day of week is 8; it takes 0-7"),
        ("* * * * mo", "the day of week is mo;"),
        ("* * * * 5-1", "the day of week is 5-1;"),
        ("* * * * *-2", "the day of week is *-2;"),
        ("* * * * 1/0", "the day of week is 1/0;"),
        ("*/0 * * * *", "the minute is */0;"),
        ("60 * * * * *", "the second is 60;"),
        ("3 * *", "has 3 fields, not the five of cron"),
        ("", "has 0 fields, not the five of cron"),
        ("0 0 31 2 *", "no such day ever comes"),
    ],
)
def test_a_wrong_expression_is_told_by_its_field(expression, said):
    with pytest.raises(UserError) as e:
        trigger(expression, UTC)
    assert f'--cron "{expression}": ' in str(e.value)
    assert said in str(e.value)


@given(st.text(max_size=30))
def test_any_text_is_an_expression_or_an_error(text):
    with contextlib.suppress(UserError):
        trigger(text, UTC)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Europe/Belrin", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("qqq", "write it as in Europe/Berlin or UTC"),
        ("../passwd", "there is no such time zone"),
        ("Europe", "there is no such time zone"),
        ("", "there is no such time zone"),
    ],
)
def test_an_unknown_time_zone_is_told_with_the_nearest(name, said):
    with pytest.raises(UserError, match="--timezone") as e:
        zone(name)
    assert said in str(e.value)
