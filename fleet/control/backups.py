"""Backups: one file that holds a fleet whole, whatever database it is in."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from fleet.repository.files import locked
from fleet.store.database import Database
from fleet.store.dump import dump, load
from fleet.store.errors import StoreError

_ROWS = "fleet.jsonl"
_METADATA = "metadata"
_LOCK = ".lock"
_LOCK_SECONDS = 30.0
_FOLDERS = ("repository", "tenants", "artifacts")
_KEYS = "keys"
_ALONE = ("root.json",)


def back_up(root: Path, database: Database, file: Path, parts: tuple[str, ...]) -> int:
    """Writes the fleet of `root` to `file`, which appears whole or not at all; gives its bytes.

    A server may run meanwhile. Nobody publishes while rows and the repositories' metadata are read; what
    is released afterwards is in the backup as a file that neither speaks of.

    Args:
        root: of the fleet.
        database: its database.
        file: a tar archive, compressed by gzip; readable by its owner alone.
        parts: as `all_parts` names them.

    Raises:
        StoreError: if the database cannot be read.
        RepositoryError: if somebody publishes all the time.
        OSError: if a file cannot be read or written.
    """
    handle, aside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
                metadata = _add_moment(archive, root, database, file.parent)
                for name in parts:
                    if (root / name).exists():
                        archive.add(root / name, name, filter=lambda m: _unless(m, metadata))
            out.flush()
            os.fsync(out.fileno())
        os.replace(aside, file)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return file.stat().st_size


def _add_moment(
    archive: tarfile.TarFile, root: Path, database: Database, room: Path
) -> frozenset[str]:
    """Adds what must be of one moment: the rows, and all metadata, whose names in the archive it gives."""
    repositories = [root / "repository", *sorted(root.glob("tenants/*/repository"))]
    repositories = [folder for folder in repositories if (folder / _METADATA).is_dir()]
    with contextlib.ExitStack() as held, tempfile.TemporaryFile(dir=room) as rows:
        for folder in repositories:
            held.enter_context(locked(folder / _LOCK, _LOCK_SECONDS))
        for line in dump(database):
            rows.write(line.encode() + b"\n")
        header = tarfile.TarInfo(_ROWS)
        header.size = rows.tell()
        rows.seek(0)
        archive.addfile(header, rows)
        names = [str((folder / _METADATA).relative_to(root)) for folder in repositories]
        for name in names:
            archive.add(root / name, name)
    return frozenset(names)


def _unless(member: tarfile.TarInfo, added: frozenset[str]) -> tarfile.TarInfo | None:
    return None if member.name in added else member


def public_parts() -> tuple[str, ...]:
    """What a backup holds beside the rows, without which no device is served."""
    return (*_FOLDERS, *_ALONE)


def all_parts() -> tuple[str, ...]:
    """Likewise, and the keys that sign: whoever has them can release to every device."""
    return (*public_parts(), _KEYS)


def restore(root: Path, database: Database, file: Path) -> int:
    """Puts a backup into an empty folder and database; gives the number of rows.

    Raises:
        StoreError: if there is something already, or the file is no backup of this schema.
        OSError: if a file cannot be read or written.
    """
    taken = [name for name in all_parts() if (root / name).exists()]
    if taken:
        raise StoreError(f"{root / taken[0]}: is there already: restore into an empty folder")
    try:
        with tarfile.open(file, "r:gz") as archive:
            first = archive.next()
            rows = archive.extractfile(first) if first and first.name == _ROWS else None
            if rows is None:
                raise StoreError(f"{file}: is no backup of a fleet")
            count = load(database, _lines(io.TextIOWrapper(rows, "utf-8"), file))
            for member in archive:
                if member.name == _KEYS:
                    (root / _KEYS).mkdir(mode=0o700)  # an archive says nothing of who may look in
                if member.name.partition("/")[0] in all_parts():
                    archive.extract(member, root, filter="data")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError) as e:
        raise StoreError(f"{file}: is damaged, or no backup of a fleet ({e})") from e
    return count


def _lines(text: io.TextIOWrapper, file: Path) -> Iterator[str]:
    for line in text:
        if not line.endswith("\n"):
            raise StoreError(f"{file}: is damaged: its last row is cut off")
        yield line
