"""Graphs and plots as geometry: nothing overlaps, edges lead down, axes hold what is drawn."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.web.figures import figure
from pipeline.web.graph_drawing import Box, draw_graph
from pipeline.web.graph_layout import Sizes, lay_out
from pipeline.web.line_plot import Point, draw_plot, nice_ticks, stretches
from pipeline.web.queries.metrics import headlines


@st.composite
def graphs(draw) -> tuple[list[str], set[tuple[str, str]]]:
    boxes = [f"box {i}" for i in range(draw(st.integers(0, 14)))]
    pairs = list(itertools.combinations(boxes, 2))
    edges = draw(st.sets(st.sampled_from(pairs), max_size=40)) if pairs else set()
    return boxes, edges


@given(graphs())
def test_boxes_lie_apart_and_every_edge_leads_down_around_them(graph):
    boxes, edges = graph
    sizes = Sizes()
    layout = lay_out(boxes, edges, sizes)
    assert set(layout.boxes) == set(boxes)
    assert set(layout.edges) == edges
    rows: dict[float, list[float]] = {}
    for x, y in layout.boxes.values():
        assert x >= -1e-6
        assert x + sizes.box_width <= layout.width + 1e-6
        assert y + sizes.box_height <= layout.height + 1e-6
        rows.setdefault(y, []).append(x)
    for places in rows.values():
        for left, right in itertools.pairwise(sorted(places)):
            assert right - left >= sizes.box_width + sizes.between_boxes - 1e-6
    for (start, end), points in layout.edges.items():
        (x, y), (to_x, to_y) = points[0], points[-1]
        assert y == layout.boxes[start][1] + sizes.box_height
        assert to_y == layout.boxes[end][1]
        assert abs(x - layout.boxes[start][0] - sizes.box_width / 2) < 1e-6
        assert abs(to_x - layout.boxes[end][0] - sizes.box_width / 2) < 1e-6
        assert [p[1] for p in points] == sorted(p[1] for p in points)
        for x, y in points[1:-1]:
            for other_x, other_y in layout.boxes.values():
                if other_y <= y <= other_y + sizes.box_height:
                    assert not other_x < x < other_x + sizes.box_width


def test_a_chain_is_straight_and_a_diamond_has_its_ends_in_the_middle():
    chain = lay_out(["a", "b", "c"], {("a", "b"), ("b", "c")})
    assert len({round(x, 3) for x, _ in chain.boxes.values()}) == 1
    edges = {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}
    diamond = lay_out(["a", "b", "c", "d"], edges).boxes
    middle = (diamond["b"][0] + diamond["c"][0]) / 2
    assert diamond["a"][0] == pytest.approx(middle, abs=0.5)
    assert diamond["d"][0] == pytest.approx(middle, abs=0.5)


def test_order_within_a_row_avoids_a_needless_crossing():
    edges = {("a", "d"), ("b", "c")}
    boxes = lay_out(["a", "b", "c", "d"], edges).boxes
    assert (boxes["a"][0] < boxes["b"][0]) == (boxes["d"][0] < boxes["c"][0])


def test_what_comes_from_outside_stands_right_above_its_first_use():
    boxes = lay_out(["a", "b", "late", "c"], {("a", "b"), ("b", "c"), ("late", "c")}).boxes
    assert boxes["late"][1] == boxes["b"][1]


@pytest.mark.parametrize("edge", [("b", "a"), ("a", "a"), ("a", "nowhere")])
def test_an_edge_that_leads_back_is_refused(edge):
    with pytest.raises(ValueError, match="later"):
        lay_out(["a", "b"], {edge})


def test_names_in_a_graph_are_text_and_nothing_else():
    box = Box(key="k", name='<b>"', note="&" * 99, look="complete", link="/x?a=1&b=2")
    drawn = draw_graph('"<i>', [box], set())
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert 'href="/x?a=1&amp;b=2"' in drawn


@given(
    st.floats(-1e12, 1e12, allow_subnormal=False),
    st.floats(0, 1e12, allow_subnormal=False),
)
def test_ticks_hold_all_values_and_are_few_and_distinct(low, span):
    high = low + span
    ticks = nice_ticks(low, high)
    slack = 1e-6 * (ticks[-1] - ticks[0])
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    assert all(b > a for a, b in itertools.pairwise(ticks))


def test_ticks_are_round():
    assert nice_ticks(0.0, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert nice_ticks(7.0, 7.0)[0] < 7.0 < nice_ticks(7.0, 7.0)[-1]
    assert nice_ticks(0.0, 0.0)[-1] > 0


def test_the_line_has_a_gap_where_a_run_was_refused_or_has_no_value():
    def point(run: int, state: str, value: float | None) -> Point:
        return Point(run=run, state=state, value=value)

    points = [
        point(1, "complete", 1.0),
        point(2, "complete", 2.0),
        point(3, "refused", 3.0),
        point(4, "complete", 4.0),
        point(5, "running", None),
        point(6, "complete", 5.0),
        point(7, "complete", float("nan")),
        point(8, "complete", 6.0),
    ]
    assert stretches(points) == [[(0, 1.0), (1, 2.0)], [(3, 4.0), (5, 5.0)], [(7, 6.0)]]
    drawn = draw_plot("Step.metric", points)
    assert drawn is not None
    assert drawn.count('class="line"') == 3
    assert 'class="dot refused"' in drawn
    assert 'href="/runs/3"' in drawn


@given(st.lists(st.none() | st.floats(), min_size=1, max_size=20))
def test_any_values_are_drawn_within_the_plot_or_not_at_all(values):
    points = [Point(run=i, state="complete", value=v) for i, v in enumerate(values)]
    drawn = draw_plot("Step.metric", points)
    drawable = [v for v in values if v is not None and abs(v) <= 1e18]
    assert (drawn is None) == (not drawable)
    heights = [float(y) for y in re.findall(r'cy="([^"]*)"', drawn or "")]
    assert len(heights) == len(drawable)
    assert all(0 <= y <= 210 for y in heights)


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("Evaluator.int8_accuracy", 0.5714, "57.1%"),
        ("AnomalyTrainer.false_alarm_rate", 0.0865, "8.6%"),
        ("AnomalyTrainer.roc_auc", 0.9161, "0.9161"),
        ("InfraValidator.arena_bytes", 10944.0, "10,944 B"),
        ("InfraValidator.latency_ms_litert", 0.146, "146 µs"),
        ("InfraValidator.macs", 429_600.0, "429.6 k"),
        ("ExampleGen.train_clips", 141.0, "141"),
        ("Step.odd", float("nan"), "not measured"),
        ("Step.bytes", float("inf"), "without bound"),
    ],
)
def test_a_metric_is_written_as_its_name_asks(name, value, written):
    assert figure(name, value) == written


def test_a_run_has_at_most_three_headlines_its_chief_metrics_before_others():
    by_step = {
        "Gen": {"clips": 9.0},
        "Evaluator": {"agreement": 1.0, "int8_accuracy": 0.9},
        "InfraValidator": {"arena_bytes": 5.0},
        "Pusher": {"new": 1.0},
    }
    assert headlines(by_step) == {"Evaluator.int8_accuracy": 0.9, "InfraValidator.arena_bytes": 5.0}
    many = {"Gen": {"clips": 9.0}, "Last": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}, "Empty": {}}
    assert headlines(many) == {"Last.a": 1.0, "Last.b": 2.0, "Last.c": 3.0}
    assert headlines({}) == {}
