"""Deltas: exact, small after fine-tuning, wherever the tensors lie; safe to read; cheap in memory."""

import contextlib
import io
import tracemalloc

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bundle import delta, packing, small_numbers
from edge_agent.bundle.alignment import Segment, align
from edge_agent.bundle.archive import pack
from edge_agent.bundle.constants import constants
from edge_agent.bundle.manifest import encode_manifest
from tests.fixtures.bundles import MODEL, bundle_parts
from tests.fixtures.models import pack_model

SHAPE = (64, 300)


def model(seed: int = 0, *, moved: float = 0.0, more: int = 0, shape=SHAPE) -> bytes:
    """The test model with a second, large constant; `more` bytes of another stand before it."""
    parts = bundle_parts()[1]
    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(parts[MODEL], 0))
    random = np.random.default_rng(seed)
    weights = random.integers(-128, 128, shape).astype(np.int8)
    weights += np.rint(np.random.default_rng(9).normal(0, moved, shape)).astype(np.int8)
    graph = made.subgraphs[0]
    if more:
        _add(made, np.random.default_rng(5).integers(-128, 128, (more,)).astype(np.int8))
        graph.operators[0].inputs = [*graph.operators[0].inputs, len(graph.tensors) - 1]
    _add(made, weights)
    graph.operators[2].inputs = [*graph.operators[2].inputs, len(graph.tensors) - 1]
    return pack_model(made)


def _add(made, values) -> None:
    buffer, tensor = schema.BufferT(), schema.TensorT()
    buffer.data = values.view(np.uint8).ravel()
    tensor.shape, tensor.type, tensor.buffer = list(values.shape), 9, len(made.buffers)
    made.buffers.append(buffer)
    made.subgraphs[0].tensors.append(tensor)


def bundle(tflite: bytes, name: str = "keyword_spotting") -> bytes:
    manifest, files = bundle_parts()
    return pack(encode_manifest(manifest).replace(b"keyword_spotting", name.encode()),
                files | {MODEL: tflite})  # fmt: skip


def applied(old: bytes, made: bytes) -> bytes:
    output = io.BytesIO()
    delta.apply(io.BytesIO(old), io.BytesIO(made), output)
    return output.getvalue()


def test_a_fine_tuned_model_costs_a_part_of_itself():
    old, new = bundle(model()), bundle(model(moved=0.7))
    made = delta.make(old, new)
    assert applied(old, made) == new
    assert len(made) < 0.3 * len(new)
    assert len(made) < 0.5 * len(delta.make(None, new))


@pytest.mark.parametrize("more", [1, 777])
def test_tensors_are_found_where_they_have_moved_to(more):
    old, new = bundle(model()), bundle(model(moved=0.7, more=more), name="other")
    made = delta.make(old, new)
    assert applied(old, made) == new
    assert len(made) < 0.3 * len(new) + more
    back = delta.make(new, old)
    assert applied(new, back) == old
    assert len(back) < 0.3 * len(new)


def test_a_resized_tensor_comes_whole():
    old, new = bundle(model()), bundle(model(shape=(65, 300)))
    made = delta.make(old, new)
    assert applied(old, made) == new
    (large,) = (c for c in constants(model(shape=(65, 300))) if c.bytes == 65 * 300)
    start = new.index(model(shape=(65, 300))) + large.start
    assert not any(
        s.new < start + large.bytes and start < s.new + s.length for s in align(old, new)
    )


def test_constants_are_told_by_their_use_and_not_by_names():
    found = {c.bytes: c for c in constants(model())}
    large = found[SHAPE[0] * SHAPE[1]]
    assert large.form == (9, *SHAPE)
    assert large.place[:2] == (0, 2)
    assert model()[large.start : large.start + large.bytes] == (
        np.random.default_rng(0).integers(-128, 128, SHAPE).astype(np.int8).tobytes()
    )


def test_equal_bundles_cost_next_to_nothing():
    same = bundle(model())
    assert align(same, same) == [Segment(0, 0, len(same))]
    assert len(delta.make(same, same)) < 150


def test_what_is_no_model_is_delta_enough():
    old, new = bundle(b"nothing like a model"), bundle(model())
    assert applied(old, delta.make(old, new)) == new
    assert applied(new, delta.make(new, old)) == old


def test_another_base_is_refused():
    made = delta.make(bundle(model()), bundle(model(moved=0.7)))
    for base in (bundle(model(seed=1)), b""):
        with pytest.raises(delta.DeltaError, match="another bundle"):
            applied(base, made)


def test_a_whole_file_needs_no_base():
    new = bundle(model())
    made = delta.make(None, new)
    assert applied(b"", made) == applied(bundle(model(seed=1)), made) == new
    assert len(made) < len(new)


@st.composite
def cases(draw):
    """Two files, and segments that say which parts of the one stand for which of the other."""
    old, new = draw(st.binary(min_size=1, max_size=300)), draw(st.binary(max_size=300))
    segments, place = [], 0
    for gap, length, start in draw(
        st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60), st.integers(0, 299)), max_size=9)
    ):
        if place + gap + length <= len(new) and start + length <= len(old):
            segments.append(Segment(place + gap, start, length))
            place += gap + length
    return old, new, segments


@given(cases())
def test_any_segments_give_the_new_file(case):
    old, new, segments = case
    assert applied(old, delta.write(old, new, segments)) == new


@given(cases(), st.data())
def test_a_damaged_delta_is_refused_or_harmless(case, data):
    old, new, segments = case
    made = bytearray(delta.write(old, new, segments))
    for _ in range(data.draw(st.integers(1, 3))):
        made[data.draw(st.integers(0, len(made) - 1))] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):
        made = made[: data.draw(st.integers(0, len(made)))]
    with contextlib.suppress(delta.DeltaError):
        assert applied(old, bytes(made)) == new


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(junk):
    for made in (junk, b"EDELTA1\n" + bytes(32) + junk, b"EDELTA2\n" + bytes(32) + junk):
        with pytest.raises(delta.DeltaError):
            applied(b"base", made)


@pytest.mark.fuzz
@given(st.binary(min_size=27, max_size=2000))
def test_any_bytes_behind_a_true_head_are_refused(junk):
    for head in (b"EDELTA1\n", b"EDELTA2\n"):
        with pytest.raises(delta.DeltaError):
            applied(b"", head + bytes(64) + (1000).to_bytes(4, "little") + junk)


def test_a_bomb_costs_little_memory():
    new = bytes(60_000_000)  # 9 kB packed
    made = delta.write(b"", new, [])
    assert len(made) < 20_000

    class Sink(io.BytesIO):
        def write(self, data):
            return len(data)

    tracemalloc.start()
    delta.apply(io.BytesIO(), io.BytesIO(made), Sink())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


@given(st.lists(st.integers(-128, 127) | st.just(0), max_size=600))
def test_small_numbers_come_back(numbers):
    data = np.array(numbers, np.int8).tobytes()
    assert unpacked(small_numbers.pack(data), len(data)) == data


def unpacked(packed: bytes, count: int) -> bytes:
    left = iter(packed)
    return small_numbers.Unpacker(lambda: next(left)).take(count)


@pytest.mark.parametrize("spread", [0.3, 1.0, 8.0])
def test_small_numbers_take_few_more_bits_than_their_entropy(spread):
    numbers = np.rint(np.random.default_rng(1).normal(0, spread, 20_000)).astype(np.int8)
    counts = np.unique(numbers, return_counts=True)[1] / len(numbers)
    entropy = -len(numbers) * (counts * np.log2(counts)).sum() / 8
    assert len(small_numbers.pack(numbers.tobytes())) < 1.03 * entropy


@given(st.binary(max_size=200))
def test_any_bytes_give_small_numbers_or_end_too_early(junk):
    with contextlib.suppress(StopIteration, RuntimeError):
        assert len(unpacked(junk, 500)) == 500


def test_a_delta_says_which_format_it_takes_and_both_are_read(monkeypatch):
    old, new = bundle(model()), bundle(model(moved=0.4))
    second = delta.make(old, new)
    monkeypatch.setattr(delta, "pack_numbers", packing.pack)
    first = delta.make(old, new)
    assert [delta.format_of(made) for made in (first, second)] == [1, 2]
    assert applied(old, first) == applied(old, second) == new
    assert len(second) < 0.9 * len(first)
    with pytest.raises(delta.DeltaError, match="not a delta that this agent reads"):
        applied(old, second.replace(b"EDELTA2", b"EDELTA3"))


def test_more_small_numbers_than_a_small_processor_unpacks_in_time_are_refused():
    many = small_numbers.MAX_NUMBERS + 1
    assert delta.format_of(delta.write(bytes(many), bytes(many), [Segment(0, 0, many)])) == 1
    old, new = bundle(model()), bundle(model(moved=0.4))
    made = bytearray(delta.make(old, new))
    assert made[85] == packing.CODED
    made[90:94] = many.to_bytes(4, "little")
    with pytest.raises(delta.DeltaError, match="longer than this agent unpacks"):
        applied(old, bytes(made))


def test_a_size_beyond_a_bundles_is_refused():
    head = bytearray(delta.write(b"", b"x", []))
    head[72:76] = (2**32 - 1).to_bytes(4, "little")
    with pytest.raises(delta.DeltaError, match="larger than a bundle may be"):
        applied(b"", bytes(head))


def test_a_python_without_lzma_refuses_what_it_cannot_unpack(monkeypatch):
    made = delta.make(None, bytes(10_000))
    monkeypatch.setattr(packing, "lzma", None)
    with pytest.raises(delta.DeltaError, match="this Python cannot unpack"):
        applied(b"", made)
