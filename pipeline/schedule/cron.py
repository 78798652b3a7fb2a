"""Cron expressions as cron reads them, turned into APScheduler's triggers.

APScheduler's own reading differs in two points, in which cron is followed here: 0 and 7 are Sunday
(APScheduler: 0 is Monday), and where the day of the month and the day of the week are both
restricted, either is enough (APScheduler: both).
"""

from __future__ import annotations

import datetime
import difflib
import re
import zoneinfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from components.base import UserError

_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_NAMES = {
    "second": "second",
    "minute": "minute",
    "hour": "hour",
    "day of month": "day",
    "month": "month",
    "day of week": "day_of_week",
}
_RANGES = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day of month": "1-31",
    "month": "1-12 or jan-dec",
    "day of week": "0-7 (0 and 7: Sunday) or sun-sat",
}
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


def zone(name: str | None) -> datetime.tzinfo:
    """The time zone `name`, e.g. ``Europe/Berlin``; the machine's own if it is None.

    Raises:
        UserError: if there is none of that name.
    """
    if name is None:
        return CronTrigger().timezone
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as e:
        known = sorted(zoneinfo.available_timezones())
        folded = {each.lower(): each for each in known}
        near = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
        hint = f"did you mean {folded[near[0]]}?" if near else "write it as in Europe/Berlin or UTC"
        raise UserError(f"--timezone {name}: there is no such time zone; {hint}") from e


def trigger(expression: str, timezone: datetime.tzinfo) -> BaseTrigger:
    """The trigger that fires when `expression` says.

    Args:
        expression: five fields (minute, hour, day of month, month, day of week), or six with the
            seconds in front.
        timezone: in which the fields are read.

    Raises:
        UserError: naming the field that is wrong, or if it would never fire.
    """
    words = expression.split()
    names = {5: _FIELDS, 6: ("second", *_FIELDS)}.get(len(words))
    if names is None:
        raise UserError(
            f'--cron "{expression}": has {len(words)} fields, not the five of cron: '
            f'{", ".join(_FIELDS)}; "0 3 * * *" is every night at three'
        )
    values = dict(zip(names, words, strict=True))
    fields = {_NAMES[name]: _field(expression, name, word) for name, word in values.items()}
    found: BaseTrigger
    if all(not values[name].startswith("*") for name in ("day of month", "day of week")):
        found = OrTrigger(
            [
                CronTrigger(**{**fields, either: "*"}, timezone=timezone)
                for either in ("day", "day_of_week")
            ]
        )
    else:
        found = CronTrigger(**fields, timezone=timezone)
    if found.get_next_fire_time(None, datetime.datetime.now(timezone)) is None:
        raise UserError(f'--cron "{expression}": no such day ever comes, so it would never run')
    return found


def _field(expression: str, name: str, word: str) -> str:
    """The field as APScheduler wants it."""
    try:
        text = _weekdays(word) if name == "day of week" else word.lower()
        CronTrigger(**{_NAMES[name]: text})
    except ValueError as e:
        raise UserError(
            f'--cron "{expression}": the {name} is {word}; it takes {_RANGES[name]}, *, '
            "lists (1,2), ranges (1-5) and steps (*/5)"
        ) from e
    return text


def _weekdays(word: str) -> str:
    """The days of the week that `word` means, by name."""
    days: set[str] = set()
    for item in word.lower().split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(item)
        first, last, step = match["first"], match["last"], int(match["step"] or 1)
        if first == "*":
            if last is not None:
                raise ValueError(item)
            start, end = 0, 6
        else:
            start = _weekday(first)
            end = start if last is None else _weekday(last)
            if last is None and match["step"]:
                end = 6
            if last == "sun":
                end = 7
        if start > end or not step:
            raise ValueError(item)
        days.update(_WEEKDAYS[start : end + 1 : step])
    return "*" if len(days) == 7 else ",".join(sorted(days))


def _weekday(text: str) -> int:
    return int(text) if text.isdecimal() and int(text) <= 7 else _WEEKDAYS.index(text)
