from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.records import (
    Example,
    decode_example,
    encode_example,
    read_examples,
    shard_name,
    shard_paths,
)
from components.tfrecord import RecordError, read_checksums, read_records, write_records
from tests.fixtures.apart import with_tensorflow

_FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
_EXAMPLES = st.builds(
    Example,
    audio=st.binary(max_size=40).map(lambda data: data[: len(data) // 2 * 2]),
    label=st.text(max_size=10),
    speaker=st.text(max_size=10),
    path=st.text(max_size=30),
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    decoded_digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    source_rate=st.integers(0, 2**31),
    source_channels=st.integers(0, 64),
    source_seconds=_FLOATS,
    peak=_FLOATS,
    rms=_FLOATS,
    dc_offset=_FLOATS,
    clipped_share=_FLOATS,
)
_ONE = Example(
    audio=b"\x01\x00\xff\xff\x00\x80",
    label="yes",
    speaker="0a1b2c3d",
    path="yes/0a1b2c3d_nohash_0.wav",
    digest="a" * 64,
    decoded_digest="b" * 64,
    source_rate=44_100,
    source_channels=2,
    source_seconds=1.5,
    peak=0.5,
    rms=0.25,
    dc_offset=-0.125,
    clipped_share=0.0,
)


@given(_EXAMPLES)
def test_an_example_survives_its_bytes(example: Example) -> None:
    assert decode_example(encode_example(example)) == example


def test_equal_examples_have_equal_bytes_and_pcm_is_little_endian() -> None:
    assert encode_example(_ONE) == encode_example(dataclasses.replace(_ONE))
    assert _ONE.pcm.tolist() == [1, -1, -32768]


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_example_are_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        decode_example(data)


@given(records=st.lists(st.binary(max_size=60), max_size=5))
def test_records_survive_their_file(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.tfrecord"
    assert write_records(path, records) == read_checksums(path)
    assert list(read_records(path)) == records


def test_a_cut_anywhere_is_noticed_unless_between_records(tmp_path: Path) -> None:
    records = [b"first", b"", b"third record"]
    path = tmp_path / "whole.tfrecord"
    write_records(path, records)
    data = path.read_bytes()
    ends = {0: 0}
    for index, record in enumerate(records, start=1):
        ends[max(ends) + 16 + len(record)] = index
    for size in range(len(data)):
        path.write_bytes(data[:size])
        if size in ends:
            assert list(read_records(path)) == records[: ends[size]]
        else:
            with pytest.raises(RecordError, match=r"whole\.tfrecord.*cut short"):
                list(read_records(path))


@given(bit=st.integers(0, (16 + 8) * 8 - 1))
def test_a_flipped_bit_anywhere_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, bit: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.tfrecord"
    write_records(path, [b"8 bytes."])
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    with pytest.raises(RecordError, match=r"flipped\.tfrecord"):
        list(read_records(path))


def test_a_record_that_claims_to_be_huge_is_not_allocated(tmp_path: Path) -> None:
    length = struct.pack("<Q", 2**62)
    crc = google_crc32c.value(length)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    path = tmp_path / "huge.tfrecord"
    path.write_bytes(length + struct.pack("<I", masked) + b"x" * 100)
    with pytest.raises(RecordError, match="at most"):
        list(read_records(path))


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "kept.tfrecord"
    write_records(path, [b"before"])

    def failing() -> object:
        yield b"after"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(path, failing())
    assert list(read_records(path)) == [b"before"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_shard_is_noticed(tmp_path: Path) -> None:
    for index in (0, 2):
        write_records(tmp_path / shard_name("train", index, 3), [])
    with pytest.raises(RecordError, match="train"):
        shard_paths(tmp_path, "train")
    write_records(tmp_path / shard_name("train", 1, 3), [])
    assert [path.name[6:11] for path in shard_paths(tmp_path, "train")] == [
        "00000",
        "00001",
        "00002",
    ]
    assert shard_paths(tmp_path, "val") == []


def test_an_error_in_a_record_names_the_shard(tmp_path: Path) -> None:
    path = tmp_path / "odd.tfrecord"
    write_records(path, [encode_example(_ONE), b"\xff"])
    with pytest.raises(RecordError, match=r"odd\.tfrecord, record 1"):
        list(read_examples(path))


@pytest.mark.slow
@with_tensorflow
def test_tensorflow_reads_and_writes_the_same_format(tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / shard_name("train", 0, 1)
    write_records(path, [encode_example(_ONE)])
    (record,) = list(tf.data.TFRecordDataset(str(path)))
    kinds = {"bytes": tf.string, "str": tf.string, "float": tf.float32, "int": tf.int64}
    parsed = tf.io.parse_single_example(
        record,
        {f.name: tf.io.FixedLenFeature([], kinds[f.type]) for f in dataclasses.fields(Example)},
    )
    for field in dataclasses.fields(Example):
        value = parsed[field.name].numpy()
        assert (value.decode() if field.type == "str" else value) == getattr(_ONE, field.name)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example.FromString(encode_example(_ONE)).SerializeToString())
    assert list(read_examples(path)) == [_ONE]
