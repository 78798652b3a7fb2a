"""Deltas: a new bundle told by its differences from an old one.

    magic, SHA-256 of the base (zeros: none is needed), SHA-256 and size of the output,
    for each of three streams: method, packed bytes, bytes; then the streams, packed

    segments     (gap, length, place in the base) each, as little-endian base-128 numbers
    differences  of the segments' bytes, new minus old modulo 256, one after another
    literals     of the gaps, and of what follows the last segment

Fine-tuning moves weights by a few steps or none: as differences they are small numbers around zero, which
pack well, whereas the bytes themselves hardly do at all. Which segments stand for which is
the writer's business (`alignment`); the reader only adds.

Reading treats a delta as hostile: every size is bounded and checked against the others before it is
used, packed streams are unpacked piece by piece and never beyond their stated size, and memory stays
below about 3 MB however large the bundle is. The output's hash is checked here and, what counts,
against the signed metadata by the caller.

There are two formats. The second packs differences by `small_numbers`, too; a delta says by its magic which
it needs, so that an agent which does not know the second refuses it and takes the whole file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from edge_agent.bundle.alignment import Segment, align
from edge_agent.bundle.archive import MAX_BUNDLE_BYTES
from edge_agent.bundle.packing import CODED, PackedStream, PackingError, pack, pack_numbers

NO_BASE = bytes(32)
_MAGICS = {b"EDELTA1\n": 1, b"EDELTA2\n": 2}
NEWEST_FORMAT = 2
_HEADER = struct.Struct("<8s32s32sI" + "BII" * 3)
_MAX_SEGMENTS_BYTES = 256 * 1024


def format_of(delta: bytes) -> int:
    """The number of the format that an agent must know to read `delta`."""
    return _MAGICS[delta[:8]]


class DeltaError(Exception):
    """The delta cannot be used: fetch the whole file; the message says why."""


def make(old: bytes | None, new: bytes) -> bytes:
    """The delta from the bundle `old` to `new`; for None, `new` compressed."""
    segments = align(old, new) if old is not None else []
    return write(old or b"", new, segments)


def write(old: bytes, new: bytes, segments: list[Segment]) -> bytes:
    """The delta from `old` to `new` along `segments`, which stand in order and do not overlap."""
    before, after = np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8)
    table, differences, literals = bytearray(), [], []
    place = 0
    for segment in segments:
        for number in (segment.new - place, segment.length, segment.old):
            table += _number(number)
        literals.append(new[place : segment.new])
        place = segment.new + segment.length
        base = before[segment.old : segment.old + segment.length]
        differences.append((after[segment.new : place] - base).tobytes())
    literals.append(new[place:])
    streams = [bytes(table), b"".join(differences), b"".join(literals)]
    packed = [pack(streams[0]), pack_numbers(streams[1]), pack(streams[2])]
    sizes: list[int] = []
    for stream, (method, data) in zip(streams, packed, strict=True):
        sizes += [method, len(data), len(stream)]
    base_digest = hashlib.sha256(old).digest() if segments else NO_BASE
    magic = b"EDELTA2\n" if packed[1][0] == CODED else b"EDELTA1\n"
    header = _HEADER.pack(magic, base_digest, hashlib.sha256(new).digest(), len(new), *sizes)
    return header + b"".join(data for _, data in packed)


def apply(base: BinaryIO, delta: BinaryIO, output: BinaryIO) -> None:
    """Writes to `output` what `delta` makes of `base`, an empty file where it needs none.

    Raises:
        DeltaError: if the delta is damaged, hostile, or made from another base; what was written by
            then is worthless.
        OSError: if a file cannot be read or written.
    """
    try:
        _apply(base, delta, output)
    except PackingError as e:
        raise DeltaError(str(e)) from e


def _apply(base: BinaryIO, delta: BinaryIO, output: BinaryIO) -> None:
    head = _read_head(delta)
    table, differences, literals = head.streams
    base_bytes = _check_base(base, head.base)
    segments = list(_segments(table, base_bytes, head.output_bytes))
    aligned = sum(segment.length for segment in segments)
    if (differences.bytes, literals.bytes) != (aligned, head.output_bytes - aligned):
        raise DeltaError("its streams are not as long as its segments say")
    digest = hashlib.sha256()
    place = 0
    for segment in [*segments, Segment(head.output_bytes, 0, 0)]:
        for piece in literals.pieces(segment.new - place):
            digest.update(piece)
            output.write(piece)
        base.seek(segment.old)
        for difference in differences.pieces(segment.length):
            old = np.frombuffer(_exactly(base, len(difference)), np.uint8)
            piece = (np.frombuffer(difference, np.uint8) + old).tobytes()
            digest.update(piece)
            output.write(piece)
        place = segment.new + segment.length
    if digest.digest() != head.output:
        raise DeltaError("it does not give the file that it promises")


@dataclasses.dataclass(frozen=True)
class _Head:
    base: bytes
    output: bytes
    output_bytes: int
    streams: list[PackedStream]


def _read_head(delta: BinaryIO) -> _Head:
    delta.seek(0)
    data = delta.read(_HEADER.size)
    if len(data) != _HEADER.size or data[:8] not in _MAGICS:
        raise DeltaError("it is not a delta that this agent reads")
    _, base, output, output_bytes, *sizes = _HEADER.unpack(data)
    if output_bytes > MAX_BUNDLE_BYTES or sizes[2] > _MAX_SEGMENTS_BYTES:
        raise DeltaError("it is larger than a bundle may be")
    start, streams = _HEADER.size, []
    for method, packed, size in (sizes[0:3], sizes[3:6], sizes[6:9]):
        streams.append(PackedStream(delta, start, method, packed, size))
        start += packed
    return _Head(base, output, output_bytes, streams)


def _check_base(base: BinaryIO, wanted: bytes) -> int:
    """The size of the base, found to be the one that the delta was made from."""
    if wanted == NO_BASE:
        return 0
    base.seek(0)
    if hashlib.file_digest(base, "sha256").digest() != wanted:  # type: ignore[arg-type]
        raise DeltaError("it was made from another bundle than the one that is here")
    return base.seek(0, 2)


def _segments(table: PackedStream, base_bytes: int, output_bytes: int) -> Iterator[Segment]:
    numbers = _numbers(b"".join(table.pieces(table.bytes)))
    place = 0
    for gap in numbers:
        length, old = next(numbers, None), next(numbers, None)
        if length is None or old is None:
            raise DeltaError("its segments are cut short")
        segment = Segment(place + gap, old, length)
        place = segment.new + length
        if place > output_bytes or old + length > base_bytes or not length:
            raise DeltaError("a segment lies outside the files")
        yield segment


def _numbers(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
        elif shift > 28:
            raise DeltaError("a number is too large")
    if shift:
        raise DeltaError("its segments are cut short")


def _number(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise DeltaError("it is cut short")
    return data
