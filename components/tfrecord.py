"""TFRecord framing without TensorFlow.

A file is a row of records, each framed as (tensorflow/core/lib/io/record_writer.h):

    uint64 length · uint32 masked CRC-32C of length · data · uint32 masked CRC-32C of data

all little-endian. A reader that trusts a damaged length would ask for up to 2**64 bytes, so the
length's own checksum and a bound come before the data is read.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from components.base import UserError

MAX_RECORD_BYTES = 64 * 1024 * 1024
_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")


class RecordError(UserError):
    """A file of records is damaged; the message names the file and the place in it."""


def write_records(path: Path, records: Iterable[bytes]) -> list[int]:
    """Writes `records` as the file `path`, whole or not at all; gives the masked CRC-32C of each.

    The records are written aside as they come, synced and renamed, so that two workers that write
    the same file at once leave one whole file.
    """
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    checksums: list[int] = []
    try:
        with os.fdopen(handle, "wb") as file:
            for record in records:
                length = struct.pack("<Q", len(record))
                checksums.append(_masked_crc(record))
                head, foot = _FOOT.pack(_masked_crc(length)), _FOOT.pack(checksums[-1])
                file.write(b"".join((length, head, record, foot)))  # one call of the system
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return checksums


def read_records(path: Path) -> Iterator[bytes]:
    """Yields the records of the file `path` one by one.

    Raises:
        RecordError: if the file is cut short, fails a checksum, or holds a record of more than
            `MAX_RECORD_BYTES`.
        OSError: if it cannot be read.
    """
    yield from (record for record, _ in _read_all(path))


def read_checksums(path: Path) -> list[int]:
    """The masked CRC-32C of each record of the file `path`, held against the record.

    Raises:
        as `read_records`.
    """
    return [checksum for _, checksum in _read_all(path)]


def _read_all(path: Path) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as file:
        offset = 0
        while head := file.read(_HEAD.size):
            record, checksum = _read_one(file, head, f"{path}, byte {offset}")
            yield record, checksum
            offset += _HEAD.size + len(record) + _FOOT.size


def _read_one(file: BinaryIO, head: bytes, where: str) -> tuple[bytes, int]:
    if len(head) < _HEAD.size:
        raise RecordError(f"{where}: cut short: make the file again")
    length, crc = _HEAD.unpack(head)
    if _masked_crc(head[:8]) != crc:
        raise RecordError(f"{where}: a record's length is damaged: make the file again")
    if length > MAX_RECORD_BYTES:
        raise RecordError(f"{where}: a record of {length} bytes; at most {MAX_RECORD_BYTES}")
    data = file.read(length)
    foot = file.read(_FOOT.size)
    if len(data) < length or len(foot) < _FOOT.size:
        raise RecordError(f"{where}: cut short: make the file again")
    checksum = _masked_crc(data)
    if checksum != _FOOT.unpack(foot)[0]:
        raise RecordError(f"{where}: a record's data is damaged: make the file again")
    return data, checksum


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
