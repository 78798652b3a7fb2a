"""Packed streams with a bounded cost of unpacking: stored, LZMA tuned for text or for small numbers, or
small numbers by `small_numbers`, which leaves LZMA behind where most are zero.

What unpacking costs in memory is LZMA's window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from edge_agent.bundle import small_numbers

try:
    import lzma
except ImportError:  # a Python built without it: only stored streams are read
    lzma = None  # type: ignore[assignment]

_STORED = 0
_NUMBERS, _TEXT = 1, 2
CODED = 3
"""The method that came with the second format of deltas."""

_WINDOW_BYTES = {_NUMBERS: 64 * 1024, _TEXT: 1024 * 1024}
_PIECE_BYTES = 64 * 1024


class PackingError(Exception):
    """A packed stream cannot be unpacked here; the message says why."""


def pack(data: bytes) -> tuple[int, bytes]:
    """The method that packs `data` smallest, and what it gives."""
    packed = [(_STORED, data)]
    for method in (_NUMBERS, _TEXT):
        compress = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=_filters(method))
        packed.append((method, compress.compress(data) + compress.flush()))
    return _smallest(packed)


def pack_numbers(data: bytes) -> tuple[int, bytes]:
    """The same where `data` are numbers close to zero, modulo 256."""
    packed = [pack(data)]
    if len(data) <= small_numbers.MAX_NUMBERS:
        packed.append((CODED, small_numbers.pack(data)))
    return _smallest(packed)


def _smallest(packed: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    return min(packed, key=lambda one: len(one[1]))


class PackedStream:
    """`packed` bytes of `file` from `start`, which give `size` bytes; read piece by piece.

    Raises:
        PackingError: if the method is not known here, or would take too long.
    """

    def __init__(self, file: BinaryIO, start: int, method: int, packed: int, size: int) -> None:
        compressed = method in (_NUMBERS, _TEXT)
        if method not in (_STORED, _NUMBERS, _TEXT, CODED) or (compressed and lzma is None):
            raise PackingError("it is packed in a way that this Python cannot unpack")
        if method == CODED and size > small_numbers.MAX_NUMBERS:
            raise PackingError("a stream is longer than this agent unpacks in that way")
        self.bytes = size
        self._file, self._place, self._left = file, start, packed
        self._given = 0
        self._unpacker: Any = None
        self._fed = iter(b"")
        self._numbers: small_numbers.Unpacker | None = None
        self._coded = method == CODED
        if compressed:
            self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(method))

    def pieces(self, count: int) -> Iterator[bytes]:
        """The next `count` bytes, in pieces.

        Raises:
            PackingError: if there are fewer, or what is packed is damaged.
        """
        if count > self.bytes - self._given:
            raise PackingError("a stream ends before its contents do")
        while count:
            piece = self._next(min(count, _PIECE_BYTES))
            self._given += len(piece)
            count -= len(piece)
            yield piece

    def _next(self, most: int) -> bytes:
        if self._coded:
            if self._numbers is None:
                self._numbers = small_numbers.Unpacker(self._next_byte)
            return self._numbers.take(most)
        if self._unpacker is None:
            return self._feed(most)
        while True:
            try:
                fed = self._feed(_PIECE_BYTES) if self._unpacker.needs_input else b""
                piece: bytes = self._unpacker.decompress(fed, most)
            except (lzma.LZMAError, EOFError, MemoryError) as e:
                raise PackingError(f"a stream is damaged ({e})") from e
            if piece:
                return piece

    def _next_byte(self) -> int:
        for byte in self._fed:
            return byte
        self._fed = iter(self._feed(_PIECE_BYTES))
        return next(self._fed)

    def _feed(self, most: int) -> bytes:
        self._file.seek(self._place)
        fed = self._file.read(min(most, self._left))
        if not fed:
            raise PackingError("a stream ends before its contents do")
        self._place += len(fed)
        self._left -= len(fed)
        return fed


def _filters(method: int) -> list[dict[str, int]]:
    context = 0 if method == _NUMBERS else 3
    window = _WINDOW_BYTES[method]
    return [
        {"id": lzma.FILTER_LZMA1, "dict_size": window, "lc": context, "lp": 0, "pb": 0,
         "nice_len": 273},
    ]  # fmt: skip
