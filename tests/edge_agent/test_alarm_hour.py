"""The hour around an alarm: which rows are in it, as a table and as a picture."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from PIL import Image

from edge_agent.sources.table import RowBlock
from edge_agent.watching.alarm_hour import MOST_ROWS, MOST_VALUES, AlarmHours, write_hour
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


def test_rows_of_many_channels_do_not_fill_it_either():
    keeper = AlarmHours([f"c{n}" for n in range(3000)])
    rows = np.zeros((150, 3000))
    given = RowBlock(times=range(150), seconds=np.arange(150.0), rows=rows)
    on = Finding(time=0, score=2.0, anomaly=True, channel="c0", threshold=1.0)
    assert list(keeper.take(given, [on] * 150)) == []
    (hour,) = keeper.rest()
    assert len(hour.rows) * 3000 == MOST_VALUES


@pytest.mark.parametrize(
    "wrong",
    [
        slice(1000, None),  # set back by an hour, as in autumn
        slice(1000, 1001),  # one row of the wrong year
    ],
)
def test_a_clock_that_is_set_back_does_not_hold_an_hour_up(wrong):
    given = block(0, 4000)
    given.seconds[wrong] += -3600.0 if wrong.stop is None else 1e9
    found = list(AlarmHours(CHANNELS).take(given, findings(given, range(1100, 1110))))
    (hour,) = found
    assert [hour.rows[hour.begun].values[0], hour.rows[-1].values[0]] == pytest.approx(
        [1100, 1700], abs=2
    )


def test_a_time_that_is_a_long_text_makes_no_longer_name_than_a_file_may_have(tmp_path):
    finding = Finding(time="x" * 5000, score=2.0, anomaly=True, channel=None, threshold=1.0)
    keeper = AlarmHours(CHANNELS)
    assert list(keeper.take(block(0, 1), [finding])) == []
    (hour,) = keeper.rest()
    assert write_hour(tmp_path, hour, None).exists()


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
