"""Which recordings an Examples artifact was made of, shard by shard: its ``members.json``.

One line a shard, so that a reader holds one shard at a time; the whole is one JSON object.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import struct
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MEMBERS = "members.json"
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A recording that a shard holds clips of.

    Attributes:
        path: relative to the recordings, with ``/``.
        digest: SHA-256 of the file, hex.
        label: its label.
        speaker: who speaks; empty where nobody does.
    """

    path: str
    digest: str
    label: str
    speaker: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardMembers:
    """A shard and what it was made of.

    Attributes:
        file: its name in the artifact.
        digest: SHA-256 over `made_from` and the checksum of each record, hex (`shard_digest`): what
            the records say is hashed once already, in `made_from`, and hashing is most of what
            ingest costs.
        made_from: SHA-256 of all that decides its content beside code and parameters, hex. Clips that
            ExampleGen makes itself count here, with their sources.
        labels: clips by label.
        recordings: those it holds, by path.
    """

    file: str
    digest: str
    made_from: str
    labels: Mapping[str, int]
    recordings: tuple[Member, ...]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        recordings = [vars(member) for member in self.recordings]
        return {**vars(self), "labels": dict(self.labels), "recordings": recordings}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ShardMembers:
        """The shard that `to_json` gave, before or after JSON."""
        recordings = tuple(Member(**member) for member in content["recordings"])
        return cls(**{**content, "recordings": recordings})


def write_members(folder: Path, shards: Iterable[ShardMembers]) -> None:
    """Writes the ``members.json`` of the Examples artifact in `folder`, shard by shard."""
    with (folder / MEMBERS).open("w", encoding="utf-8") as file:
        file.write('{"shards": [')
        for number, shard in enumerate(shards):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(shard.to_json(), sort_keys=True, ensure_ascii=False))
        file.write("\n]}\n")


def read_members(folder: Path) -> Iterator[ShardMembers]:
    """Yields the shards in the ``members.json`` of the Examples artifact in `folder`, in order.

    Raises:
        OSError: if it cannot be read.
        ValueError: if `write_members` did not write it.
    """
    with (folder / MEMBERS).open(encoding="utf-8") as file:
        next(file, None)
        for line in file:
            if line.startswith("]}"):
                return
            yield ShardMembers.from_json(json.loads(line.rstrip("\n").removesuffix(",")))
    raise ValueError(f"{folder / MEMBERS}: cut short")


def shard_digest(made_from: str, checksums: Sequence[int]) -> str:
    """`ShardMembers.digest` of the shard whose records have these masked CRC-32Cs."""
    packed = struct.pack(f"<{len(checksums)}I", *checksums)
    return hashlib.sha256(made_from.encode() + packed).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of the file `path`, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Makes `target` the same file as `source`, or a copy where there can be no hard link.

    Raises:
        OSError: if it cannot be read or written.
    """
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        try:
            os.link(source, aside)
        except OSError as e:
            if e.errno not in _NO_LINK:
                raise
            shutil.copyfile(source, aside)
        os.replace(aside, target)
    finally:
        # Renaming a file onto another link to it leaves both names.
        aside.unlink(missing_ok=True)
