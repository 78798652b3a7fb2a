"""What a workload says to the supervisor: its lines are taken as foreign bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.workloads import messages
from edge_agent.workloads.counting import Counting


def test_each_message_comes_back_from_its_line():
    counting = Counting()
    counting.inferences(3, 0.0006)
    counting.score(0.93)
    counters = counting.counters()
    assert (counters.inferences, counters.latency[2], counters.scores[9]) == (3, 3, 1)
    assert counters.rss_bytes > 1e6
    for message in (
        messages.BeatSaid(counters=counters),
        messages.ReadySaid(facts={"runtime": "litert"}),
        messages.EventSaid(event="detection", body={"label": "yes"}),
        messages.PlaceSaid(place={"offset": 3}),
        messages.EndSaid(words="so long"),
    ):
        line = messages.encode(message)
        assert line.endswith(b"\n")
        assert messages.decode(line) == message


@pytest.mark.parametrize(
    "counters",
    [
        {"inferences": -1},
        {"gap_s": "x"},
        {"latency": [1]},
        {"rss_bytes": 1e400},
        [],
        {"gaps": True},
    ],
)
def test_counters_that_are_none_are_refused(counters):
    line = json.dumps({"kind": "beat", "counters": counters}).encode()
    with pytest.raises(messages.MessageError):
        messages.decode(line)


VALUES = st.sampled_from(
    [None, True, -1, 2, 1.5, float("nan"), 10**400, "x", [], [1], {}, {"a": []}]
)
NAMES = st.sampled_from(["inferences", "gaps", "latency", "score_sum", "rss_bytes"])
TABLES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["beat", "ready", "event", "place", "end", "other", 3])},
    optional={
        "counters": st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=3)),
        **dict.fromkeys(["event", "body", "facts", "place", "words"], VALUES),
    },
)


@given(st.one_of(st.binary(max_size=200), TABLES.map(lambda table: json.dumps(table).encode())))
def test_any_line_is_a_message_or_refused(line):
    try:
        message = messages.decode(line)
    except messages.MessageError:
        return
    assert messages.decode(messages.encode(message)) == message
