"""The hour around an alarm: which rows are in it, as a table and as a picture."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

from edge_agent.sources.table import RowBlock
from edge_agent.watching.alarm_hour import MOST_ROWS, AlarmHours, write_hour
from edge_agent.watching.alarm_picture import draw
from edge_agent.watching.watch import Finding

CHANNELS = ["flow", "heat, of Zoë"]


def block(begin: int, count: int, *, step: float = 1.0) -> RowBlock:
    rows = np.stack([np.arange(begin, begin + count), np.full(count, np.nan)], axis=1)
    seconds = step * np.arange(begin, begin + count)
    return RowBlock(times=[f"t{s:g}" for s in seconds], seconds=seconds, rows=rows)


def findings(given: RowBlock, alarms: range = range(0)) -> list[Finding]:
    return [
        Finding(
            time=time,
            score=2.5,
            anomaly=int(row) in alarms,
            channel=CHANNELS[1],
            threshold=1.0,
        )
        for time, row in zip(given.times, given.rows[:, 0], strict=True)
    ]


def hours(count: int, alarms: range, step: float = 1.0):
    keeper = AlarmHours(CHANNELS)
    found = []
    for begin in range(0, count, 700):
        given = block(begin, min(700, count - begin), step=step)
        found += keeper.take(given, findings(given, alarms))
    return found + list(keeper.rest())


def test_fifty_minutes_before_and_ten_after_are_kept():
    (hour,) = hours(9000, range(5000, 5100))
    assert hour.name == "alarm-t5000"
    assert [row.second for row in hour.rows] == list(range(2000, 5600))
    assert hour.rows[hour.begun].second == 5000


def test_an_alarm_at_the_end_has_what_there_was():
    (hour,) = hours(300, range(290, 400))
    assert (len(hour.rows), hour.begun) == (300, 290)


def test_an_alarm_that_begins_later_has_an_hour_of_its_own():
    keeper = AlarmHours(CHANNELS)
    found = []
    for begin, alarms in ((0, range(100, 110)), (1000, range(1500, 1510))):
        given = block(begin, 1000)
        found += keeper.take(given, findings(given, alarms))
    assert [hour.begun for hour in [*found, *keeper.rest()]] == [100, 1500]


def test_a_dense_stream_does_not_fill_the_memory():
    (hour,) = hours(MOST_ROWS + 5000, range(MOST_ROWS, MOST_ROWS + 10), step=0.01)
    assert len(hour.rows) == MOST_ROWS


def test_the_table_holds_values_scores_and_gaps(tmp_path):
    (hour,) = hours(20, range(15, 18))
    path = write_hour(tmp_path / "new" / "folder", hour, None)
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 20
    assert rows[16]["flow"] == "16.0"
    assert rows[16]["heat, of Zoë"] == ""
    assert (rows[16]["anomaly"], rows[16]["channel"]) == ("1", "heat, of Zoë")
    assert not path.with_suffix(".png").exists()


@pytest.mark.parametrize("count", [1, 2, 4000])
def test_the_picture_shades_the_alarm(count):
    (hour,) = hours(count, range(count - 1, count))
    picture = Image.open(io.BytesIO(draw(hour)))
    assert picture.format == "PNG"
    assert picture.width == 1200
    assert (250, 220, 205) in {color for _, color in picture.getcolors(1 << 20)}
