"""WAV files (RIFF/WAVE), whole or block by block: PCM of 8 to 32 bits and floats of 32 and 64.

The standard library's reader knows neither float nor WAVE_FORMAT_EXTENSIBLE. Reading treats the
file as hostile: no size is believed before the bytes are there, and memory is bounded by the block.

Source: Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991),
"Waveform Audio File Format"; Multiple Channel Audio Data and WAVE Files (Microsoft, 2007).
"""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.sources.readable import Readable

Float32 = npt.NDArray[np.float32]

MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1_000, 384_000
MAX_WHOLE_SAMPLES = 1 << 26
_MAX_OTHER_CHUNK_BYTES = 64 * 1024 * 1024
_MAX_CHUNKS = 1_000
_MAX_FORMAT_BYTES = 4_096
_PIECE_BYTES = 1 << 16
_BLOCK_FRAMES = 1 << 16
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
# The tail that a sub-format GUID shares with every other that stands for an old format code.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_CONVERT = "convert it, for example with: ffmpeg -i FILE -ar 16000 -ac 1 OUT.wav"


class WavError(Exception):
    """The recording cannot be read; the message names the file, the reason and the next step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WavFormat:
    """How the samples of a file are laid out.

    Attributes:
        encoding: ``pcm`` (unsigned at 8 bits, else signed) or ``float``.
        width: bytes of one sample.
        channels: samples of one frame.
        rate: frames a second, Hz.
    """

    encoding: Literal["pcm", "float"]
    width: int
    channels: int
    rate: int


class WavReader:
    """Reads one WAV stream from front to back; it need not be seekable.

    Attributes:
        name: what errors call the stream.
        format: the layout of the samples.
    """

    def __init__(self, stream: Readable, name: str, *, head: bytes = b"") -> None:
        """Reads up to the first sample.

        Args:
            stream: the file, opened for reading bytes.
            name: what errors call it.
            head: bytes that were taken off the front of the stream already.

        Raises:
            WavError: if no samples that can be read follow.
        """
        self.name = name
        self._stream = stream
        self._head = head
        self.format, self._left = self._open()

    def blocks(self, frames: int = _BLOCK_FRAMES) -> Iterator[Float32]:
        """The samples in order, in arrays of shape (at most `frames`, channels), nominally -1 to 1.

        A recording that ends before its claimed size is read up to its last whole frame.

        Raises:
            WavError: if there is no whole frame at all, or a sample is not a finite number.
        """
        size = self.format.width * self.format.channels
        done = 0
        while self._left >= size:
            data = self._take(min(self._left // size, frames) * size)
            self._left -= len(data)
            count = len(data) // size
            if not count:
                break
            block = _decode(data[: count * size], self.format)
            if not np.isfinite(block).all():
                raise WavError(
                    f"{self.name}: holds samples that are not finite numbers (NaN or infinity): "
                    "record or export it again, or leave it out"
                )
            yield block
            done += count
        if not done:
            raise WavError(f"{self.name}: holds no samples: record it again or leave it out")

    def _open(self) -> tuple[WavFormat, int]:
        head = self._take(12)
        if not head:
            raise WavError(f"{self.name}: is empty (0 bytes): record it again or leave it out")
        if head[:4] in (b"RF64", b"RIFX", b"BW64"):
            kind = head[:4].decode("ascii")
            raise WavError(f"{self.name}: {kind} files are not supported: {_CONVERT}")
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise WavError(f"{self.name}: is not a WAV file: {_CONVERT}, or leave it out")
        form: WavFormat | None = None
        for _ in range(_MAX_CHUNKS):
            header = self._take(8)
            if len(header) < 8:
                break
            kind_bytes, size = struct.unpack("<4sI", header)
            if kind_bytes == b"data":
                if form is None:
                    raise self._damaged("its samples come before its format")
                return form, size
            if kind_bytes == b"fmt ":
                form = self._format(size)
            else:
                self._skip(size + size % 2)
        raise self._damaged("it ends before its samples")

    def _format(self, size: int) -> WavFormat:
        if not 16 <= size <= _MAX_FORMAT_BYTES:
            raise self._damaged(f"its format takes {size} bytes")
        data = self._take(size + size % 2)
        if len(data) < size:
            raise self._damaged("it ends within its format")
        code, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", data[:16])
        if code == _EXTENSIBLE:
            if size < 40 or data[26:40] != _GUID_TAIL:
                raise WavError(f"{self.name}: its encoding is not known here: {_CONVERT}")
            (code,) = struct.unpack("<H", data[24:26])
        if not 1 <= channels <= MAX_CHANNELS:
            raise WavError(
                f"{self.name}: has {channels} channels; 1 to {MAX_CHANNELS} can be read: {_CONVERT}"
            )
        if not MIN_RATE <= rate <= MAX_RATE:
            raise WavError(
                f"{self.name}: has a rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} can be read: "
                f"{_CONVERT}"
            )
        width = frame_bytes // channels
        if frame_bytes != width * channels or (bits + 7) // 8 != width:
            raise self._damaged(
                f"{bits} bits do not fit {channels} channels in {frame_bytes} bytes"
            )
        if code == _PCM and width in (1, 2, 3, 4):
            return WavFormat(encoding="pcm", width=width, channels=channels, rate=rate)
        if code == _FLOAT and bits in (32, 64):
            return WavFormat(encoding="float", width=width, channels=channels, rate=rate)
        raise WavError(
            f"{self.name}: encoding {code} at {bits} bits is neither PCM nor float: {_CONVERT}"
        )

    def _take(self, count: int) -> bytes:
        """The next `count` bytes, fewer only at the end of the stream."""
        taken, self._head = self._head[:count], self._head[count:]
        pieces = [taken]
        left = count - len(taken)
        while left:
            try:
                piece = self._stream.read(left)
            except OSError as e:
                raise WavError(f"{self.name}: cannot be read: {e.strerror or e}") from e
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _skip(self, count: int) -> None:
        if count > _MAX_OTHER_CHUNK_BYTES:
            raise self._damaged(f"it claims {count} bytes of something other than samples")
        while count > 0:
            taken = len(self._take(min(count, _PIECE_BYTES)))
            if not taken:
                return
            count -= taken

    def _damaged(self, what: str) -> WavError:
        return WavError(f"{self.name}: is damaged ({what}): record it again or leave it out")


@contextlib.contextmanager
def open_wav(path: Path | str) -> Iterator[WavReader]:
    """The recording at `path`, to be read block by block.

    Raises:
        WavError: if it is missing or not a WAV file that can be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except OSError as e:
            raise WavError(f"{path}: cannot be read: {e.strerror}") from e
        yield WavReader(file, str(path))


def read_wav(source: Path | str | BinaryIO) -> tuple[Float32, int]:
    """A whole recording: float32 (frames, channels), nominally -1 to 1, and its rate in Hz.

    Floats beyond -1 to 1 are given as they stand.

    Raises:
        WavError: if it cannot be read, or is too long to be held at once (see `open_wav`).
    """
    if isinstance(source, (str, Path)):
        with open_wav(source) as reader:
            return _whole(reader)
    return _whole(WavReader(source, str(getattr(source, "name", "recording"))))


def endless_header(form: WavFormat) -> bytes:
    """The header of a stream of samples laid out like `form` that is as long as one can be."""
    code = _PCM if form.encoding == "pcm" else _FLOAT
    size, most = form.width * form.channels, 0xFFFFFFFF
    layout = (code, form.channels, form.rate, form.rate * size, size, form.width * 8)
    chunk = struct.pack("<4sIHHIIHH", b"fmt ", 16, *layout)
    head = struct.pack("<4sI4s", b"RIFF", most, b"WAVE")
    return head + chunk + struct.pack("<4sI", b"data", most)


def _whole(reader: WavReader) -> tuple[Float32, int]:
    blocks: list[Float32] = []
    held = 0
    for block in reader.blocks():
        held += block.size
        if held > MAX_WHOLE_SAMPLES:
            raise WavError(
                f"{reader.name}: has more than {MAX_WHOLE_SAMPLES} samples: cut it into parts"
            )
        blocks.append(block)
    return np.concatenate(blocks), reader.format.rate


def _decode(data: bytes, form: WavFormat) -> Float32:
    if form.encoding == "float":
        # A float64 beyond float32's range becomes infinite, which the caller refuses.
        with np.errstate(over="ignore"):
            samples = np.frombuffer(data, f"<f{form.width}").astype(np.float32)
    elif form.width == 1:
        offset = np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)
        samples = offset / np.float32(128)
    elif form.width == 3:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    else:
        full = np.float32(2 ** (8 * form.width - 1))
        samples = np.frombuffer(data, f"<i{form.width}").astype(np.float32) / full
    return samples.reshape(-1, form.channels)
