"""Writes an export: whole or not at all, and never over anything but an earlier export."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.base import UserError

RECORD = "export.json"
_MAX_RECORD_BYTES = 1024 * 1024


def write_export(
    folder: Path, files: Mapping[str, bytes], *, format: str, bundle: str, name: str
) -> None:
    """Writes `files` and a record of them to `folder`.

    Args:
        folder: does not exist, is empty, or holds an earlier export and nothing else.
        files: names (no folders) and contents.
        format: what ``--to`` took.
        bundle: SHA-256 of the bundle, hex.
        name: the bundle's name.

    Raises:
        UserError: if the folder holds anything that is not an earlier export as it was written.
    """
    folder = folder.resolve()
    _demand_replaceable(folder)
    record = {
        "format": format,
        "name": name,
        "bundle": bundle,
        "files": {name: _digest(data) for name, data in sorted(files.items())},
    }
    encoded = (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        new, old = aside / "new", aside / "old"
        new.mkdir()
        for file, data in {**files, RECORD: encoded}.items():
            _write(new / file, data)
        _sync(new)
        if folder.exists():
            os.rename(folder, old)
        try:
            os.rename(new, folder)
        except OSError:
            if old.exists():
                os.rename(old, folder)
            raise
        _sync(folder.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _demand_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: is a file: name a folder to export to")
    present = {path.name for path in folder.iterdir()}
    if not present:
        return
    advice = "give an empty folder or a new one, or move what is there away"
    if RECORD not in present:
        raise UserError(f"{folder}: is not empty, and not an earlier export: {advice}")
    written = _recorded(folder / RECORD)
    strange = sorted(present - written.keys() - {RECORD})
    if strange:
        raise UserError(f"{folder}: holds {strange[0]}, which no export wrote: {advice}")
    for name, digest in written.items():
        path = folder / name
        if name in present and (not path.is_file() or _digest(path.read_bytes()) != digest):
            raise UserError(f"{path}: was changed since it was exported: {advice}")


def _recorded(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            content: Any = json.loads(file.read(_MAX_RECORD_BYTES).decode())
        return {str(name): str(digest) for name, digest in content["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise UserError(
            f"{path}: is not the record of an export: give an empty folder or a new one"
        ) from e


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
