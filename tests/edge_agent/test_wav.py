"""WAV files: every layout that is promised, and whatever hostile or broken bytes come instead."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.pcm import raw_blocks
from edge_agent.sources.wav import WavError, WavReader, open_wav, read_wav
from tests.fixtures.speech import wav_bytes

SAMPLES = np.random.default_rng(3).uniform(-1.0, 1.0, (500, 2))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(data)) + data + b"\0" * (len(data) % 2)


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WAVE" + b"".join(chunks)


def form(code=1, channels=1, rate=16_000, width=2, bits=None) -> bytes:
    frame = channels * width
    bits = width * 8 if bits is None else bits
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * frame, frame, bits))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_reads_what_libsndfile_writes_as_libsndfile_reads_it(tmp_path, subtype, container):
    path = tmp_path / "a.wav"
    soundfile.write(path, SAMPLES, 44_100, subtype=subtype, format=container)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    samples, rate = read_wav(path)
    assert rate == 44_100
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, expected)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_keeps_channels_apart(tmp_path, channels):
    path = tmp_path / "a.wav"
    block = np.tile(np.arange(channels) / 16.0, (10, 1))
    soundfile.write(path, block, 16_000, subtype="PCM_16")
    np.testing.assert_array_equal(read_wav(str(path))[0], block.astype(np.float32))


def test_blocks_join_to_the_whole_and_hold_at_most_what_was_asked_for(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, SAMPLES, 16_000)
    with open_wav(path) as reader:
        blocks = list(reader.blocks(64))
    assert {len(b) for b in blocks[:-1]} == {64}
    np.testing.assert_array_equal(np.concatenate(blocks), read_wav(path)[0])


def test_a_long_recording_is_read_in_the_memory_of_a_block(tmp_path):
    path = tmp_path / "long.wav"
    pcm = np.zeros(16_000 * 60 * 10, np.int16)
    path.write_bytes(wav_bytes(pcm))
    tracemalloc.start()
    with open_wav(path) as reader:
        assert sum(len(b) for b in reader.blocks(16_000)) == len(pcm)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_skips_other_chunks_also_of_odd_size():
    data = riff(
        chunk(b"LIST", b"abc"), form(), chunk(b"JUNK", b"x" * 70_001), chunk(b"data", b"ab")
    )
    assert read_wav(io.BytesIO(data))[0].shape == (1, 1)


def test_chunks_after_the_samples_are_not_samples():
    data = riff(form(), chunk(b"data", b"abcd"), chunk(b"LIST", b"abcdef"))
    assert len(read_wav(io.BytesIO(data))[0]) == 2


@pytest.mark.parametrize("claim", [0xFFFFFFFF, 0x7FFFFFFF, 1000])
def test_a_claim_beyond_the_end_gives_the_whole_frames_that_are_there(claim):
    data = riff(form()) + struct.pack("<4sI", b"data", claim) + b"abcde"
    assert len(read_wav(io.BytesIO(data))[0]) == 2


NOT_FINITE = np.array([0.0, np.nan], "<f4").tobytes()
TOO_LARGE = np.array([0.0, 1e300], "<f8").tobytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"not a recording at all", "is not a WAV file"),
        (b"RIFF", "is not a WAV file"),
        (b"RF64" + bytes(40), "RF64"),
        (riff(), "ends before its samples"),
        (riff(form()), "ends before its samples"),
        (riff(form(), chunk(b"data", b"")), "no samples"),
        (riff(form(), chunk(b"data", b"a")), "no samples"),
        (riff(form()) + b"data\xff\xff\xff\xff", "no samples"),
        (riff(chunk(b"data", b"ab"), form()), "samples come before"),
        (riff(form(channels=0)), "channels"),
        (riff(form(channels=9)), "channels"),
        (riff(form(rate=0)), "rate"),
        (riff(form(rate=1_000_000)), "rate"),
        (riff(form(code=7, width=1)), "neither PCM nor float"),
        (riff(form(code=3, width=2)), "neither PCM nor float"),
        (riff(form(width=2, bits=24)), "do not fit"),
        (riff(form(width=5)), "neither PCM nor float"),
        (riff(form(code=0xFFFE)), "not known"),
        (riff(b"fmt \xff\xff\xff\xff"), "format takes"),
        (riff(b"JUNK\xff\xff\xff\xff"), "something other than samples"),
        (riff(form(code=3, width=4), chunk(b"data", NOT_FINITE)), "not finite"),
        (riff(form(code=3, width=8), chunk(b"data", TOO_LARGE)), "not finite"),
    ],
)
def test_refuses_with_a_reason_and_the_name(tmp_path, data, message):
    path = tmp_path / "broken.wav"
    path.write_bytes(data)
    with pytest.raises(WavError, match=message) as error:
        read_wav(path)
    assert str(error.value).startswith(str(path))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(WavError, match="cannot be read"):
            read_wav(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    read_or_refused(data)


@given(st.data())
def test_any_damage_to_a_recording_is_read_or_refused(data):
    whole = bytearray(riff(form(channels=2), chunk(b"LIST", b"abcd"), chunk(b"data", bytes(40))))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    read_or_refused(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


def read_or_refused(data: bytes) -> None:
    try:
        samples, rate = read_wav(io.BytesIO(data))
    except WavError:
        return
    assert samples.size * 8 <= len(data) * 8
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert 1_000 <= rate <= 384_000


class Dripping(io.RawIOBase):
    """A stream that gives one or two bytes at a time, as a pipe may."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, 1 + self._inner.tell() % 2))


def test_a_stream_that_drips_and_lost_its_head_reads_the_same():
    data = wav_bytes(np.arange(100, dtype=np.int16))
    reader = WavReader(Dripping(data[4:]), "drip", head=data[:4])
    np.testing.assert_array_equal(
        np.concatenate(list(reader.blocks(7))), read_wav(io.BytesIO(data))[0]
    )


@given(st.integers(0, 200), st.integers(1, 50), st.integers(0, 4))
def test_raw_samples_come_whole_whatever_the_pieces(count, frames, taken):
    data = np.arange(count, dtype="<i2").tobytes() + b"\x01"
    head, rest = data[:taken], data[taken:]
    blocks = list(raw_blocks(Dripping(rest), frames, head=head))
    assert all(1 <= len(b) <= max(frames, 2) for b in blocks)
    joined = np.concatenate([np.zeros((0, 1)), *blocks])
    np.testing.assert_array_equal(joined[:, 0] * 32768, np.arange(count))
