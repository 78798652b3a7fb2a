"""What is wrong with rows is said once and counted, and cutting them into blocks changes nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bundle.manifest import Channel
from edge_agent.sources.table import RowBlock
from edge_agent.watching.quality import RowQuality

CHANNELS = (Channel(name="flow", longest_still=4), Channel(name="heat", longest_still=2))
CENTRE = np.array([5.0, 60.0])


def block(rows: np.ndarray, seconds=None) -> RowBlock:
    seconds = np.arange(len(rows), dtype=float) if seconds is None else np.asarray(seconds)
    return RowBlock(times=[str(s) for s in seconds], seconds=seconds, rows=np.asarray(rows))


def normal(count: int) -> np.ndarray:
    return CENTRE + np.random.default_rng(0).normal(size=(count, 2))


def looked(*blocks: RowBlock) -> tuple[RowQuality, list[bool], list[str]]:
    quality, repeats, news = RowQuality(CHANNELS, CENTRE), [], []
    for each in blocks:
        found, said = quality.look(each)
        repeats += found.tolist()
        news += said
    return quality, repeats, news


def test_normal_rows_give_nothing_to_say():
    quality, repeats, news = looked(block(normal(500)))
    assert (any(repeats), news, quality.counts) == (False, [], {"rows": 500})


def test_missing_values_are_said_once_a_channel_and_counted():
    rows = normal(20)
    rows[3:9, 0], rows[4, 1] = np.nan, np.inf
    quality, _, news = looked(block(rows))
    assert [line.split(":")[0] for line in news] == ["flow", "heat"]
    assert "at 3.0" in news[0]
    assert quality.counts["missing values"] == 7


def test_time_that_goes_back_is_said_and_counted():
    quality, _, news = looked(block(normal(6), [0, 1, 2, 1, 1.5, 3]))
    assert quality.counts["rows whose time goes back"] == 2
    assert any("backwards" in line for line in news)


def test_a_repeated_row_is_one_with_the_same_time_and_values():
    rows = normal(5)
    rows[2] = rows[1]
    quality, repeats, _ = looked(block(rows, [0, 1, 1, 2, 3]))
    assert repeats == [False, False, True, False, False]
    assert quality.counts["repeated rows"] == 1
    assert not any(looked(block(rows, [0, 1, 2, 3, 4]))[1])


@pytest.mark.parametrize("name", ["flow", "heat"])
def test_a_stuck_sensor_is_named(name):
    rows = normal(400)
    place = [channel.name for channel in CHANNELS].index(name)
    rows[100:300, place] = rows[100, place]
    quality, _, news = looked(block(rows))
    assert [line.split(":")[0] for line in news] == [name]
    assert quality.counts[f"stuck: {name}"] == 200


def test_other_units_are_named():
    _, _, news = looked(block(normal(100) * [1000.0, 1.0]))
    assert len(news) == 1
    assert news[0].startswith("flow: about")
    assert "other units" in news[0]


@given(
    cuts=st.lists(st.integers(0, 300), max_size=5),
    begin=st.integers(0, 200),
    length=st.integers(0, 200),
    doubled=st.lists(st.integers(1, 299), max_size=4),
)
def test_blocks_change_nothing(cuts, begin, length, doubled):
    rows, seconds = normal(300), np.arange(300.0)
    rows[begin : begin + length, 1] = 3.0
    for place in sorted(doubled):
        rows[place], seconds[place] = rows[place - 1], seconds[place - 1]
    whole, repeats, news = looked(block(rows, seconds))
    edges = [0, *sorted(cuts), 300]
    pieces = [block(rows[a:b], seconds[a:b]) for a, b in itertools.pairwise(edges) if b > a]
    cut, cut_repeats, cut_news = looked(*pieces)
    assert cut_repeats == repeats
    assert {line.split(":")[0] for line in cut_news} == {line.split(":")[0] for line in news}
    assert cut.counts == whole.counts
