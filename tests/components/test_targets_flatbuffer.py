import functools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.targets.flatbuffer import parse_graph, read_graph
from components.targets.graph import GraphError, OperatorCount
from components.targets.lint import lint
from components.targets.macs import multiply_accumulates
from components.targets.profile import load_profile
from edge_agent.features.audio import AudioFeatures
from tests.fixtures.models import tone_model

LABELS = ("_silence_", "_unknown_", "yes")


@functools.cache
def model() -> bytes:
    return tone_model(LABELS, AudioFeatures(), 49)


def test_a_model_reads_as_what_was_laid_out() -> None:
    graph = parse_graph(model())
    assert OperatorCount(name="FULLY_CONNECTED", version=4, count=1) in graph.counts
    entry = graph.tensors[graph.inputs[0]]
    assert (entry.dtype, entry.shape, entry.constant) == ("int8", (1, 49, 40, 1), False)
    assert entry.quantisation is not None
    assert (entry.quantisation.scales, entry.quantisation.zero_points) == ((1 / 32,), (0,))
    assert graph.macs == 40 * len(LABELS)
    assert graph.float_tensors == ()
    assert graph.size_bytes == len(model())


@given(st.data())
@settings(max_examples=150)
def test_flipped_bits_give_a_graph_that_lints_or_a_plain_error(data: st.DataObject) -> None:
    corrupt = bytearray(model())
    for _ in range(data.draw(st.integers(1, 6))):
        corrupt[data.draw(st.integers(0, len(corrupt) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        graph = parse_graph(bytes(corrupt))
    except GraphError:
        return
    lint(graph, load_profile("edgetpu"))


@given(st.integers(0, len(model()) - 1))
@settings(max_examples=60)
def test_a_model_cut_short_is_refused(length: int) -> None:
    with pytest.raises(GraphError):
        parse_graph(model()[:length])


@given(st.binary(max_size=400))
def test_bytes_behind_the_mark_never_crash(tail: bytes) -> None:
    with pytest.raises(GraphError):
        parse_graph(b"\x08\0\0\0TFL3" + tail)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "notes.tflite"
    file.write_text("this is no model at all")
    with pytest.raises(GraphError, match=r"notes\.tflite: not a \.tflite model"):
        read_graph(file)
    with pytest.raises(GraphError, match=r"gone\.tflite: cannot be read"):
        read_graph(tmp_path / "gone.tflite")


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "adjoint_x", "expected"),
    [
        ("CONV_2D", [(1, 9, 9, 8), (16, 3, 3, 8)], [(1, 7, 7, 16)], False, 49 * 16 * 72),
        ("CONV_2D", [(1, 9, 9, 8), (16, 3, 3, 2)], [(1, 7, 7, 16)], False, 49 * 16 * 18),
        ("DEPTHWISE_CONV_2D", [(1, 9, 9, 8), (1, 3, 3, 8)], [(1, 7, 7, 8)], False, 49 * 8 * 9),
        ("TRANSPOSE_CONV", [(4,), (8, 2, 2, 4), (1, 5, 5, 4)], [(1, 10, 10, 8)], False, 3200),
        ("FULLY_CONNECTED", [(1, 20), (12, 20), None], [(1, 12)], False, 240),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], [(2, 3, 5)], False, 120),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], [(2, 3, 5)], True, 120),
        ("SOFTMAX", [(1, 12)], [(1, 12)], False, 0),
    ],
)
def test_multiply_accumulates_follow_from_the_shapes(
    name: str,
    inputs: list[tuple[int, ...] | None],
    outputs: list[tuple[int, ...] | None],
    adjoint_x: bool,
    expected: int,
) -> None:
    assert multiply_accumulates(name, inputs, outputs, adjoint_x) == expected
