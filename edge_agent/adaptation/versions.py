"""What was learned on this device, version by version, in the device folder.

    adaptations/0001.npz    a version: the head, what it was made of, and what was measured
    adaptations/current     the number of the one that is used; 0, or no file, for the head as shipped
    adaptations/dropped     that number, and the bundle that it does not go with

A version holds the feature codes of the recordings, so that they can be learned again on a new bundle; they
do not leave the device. Everything appears by rename, after it is synced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.adaptation.adapting import Learned
from edge_agent.adaptation.current import FOLDER, current_version
from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.lessons import Lesson
from edge_agent.adaptation.ownership import hand_over
from edge_agent.keyword.head import Head

KEPT = 16
_NAME = re.compile(r"(\d{4})\.npz")
_MAX_BYTES = 8 * 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """One version.

    Attributes:
        number: from 1 on.
        bundle: SHA-256 (hex) of the bundle that it was learned on.
        lessons: all that it was taught.
        learned: what came of it.
    """

    number: int
    bundle: str
    lessons: tuple[Lesson, ...]
    learned: Learned

    def as_json(self) -> dict[str, Any]:
        """What is said of it."""
        return {
            "version": self.number,
            "bundle": self.bundle,
            "words": {lesson.word: len(lesson.codes) for lesson in self.lessons},
            "heard": {word: round(share, 4) for word, share in self.learned.heard.items()},
            "check_before": round(self.learned.before, 4),
            "check_after": round(self.learned.after, 4),
            "distance": round(self.learned.distance, 4),
        }


class Versions:
    """The versions in the device folder `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / FOLDER

    def current(self) -> int:
        """The number of the version that is used; 0 for the shipped head."""
        return current_version(self._root)

    def numbers(self) -> list[int]:
        """The versions that are here, the oldest first."""
        if not self._folder.is_dir():
            return []
        found = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def read(self, number: int) -> Version:
        """A version.

        Raises:
            AdaptationError: if it is not here, or damaged.
        """
        path = self._path(number)
        try:
            with path.open("rb") as file:
                return _decode(number, file.read(_MAX_BYTES))
        except FileNotFoundError:
            known = ", ".join(map(str, [0, *self.numbers()]))
            raise AdaptationError(
                f"{path}: there is no version {number}: known are {known}"
            ) from None
        except Exception as e:  # zipfile, zlib and numpy have errors of their own, and many
            raise AdaptationError(
                f"{path}: is damaged ({e}): revert to another version (0 is as shipped), then enroll "
                "again what that lacks"
            ) from e

    def add(self, bundle: str, lessons: tuple[Lesson, ...], learned: Learned) -> Version:
        """Keeps a new version and uses it; the oldest go, beyond `KEPT`. Call it while `locked`.

        Raises:
            AdaptationError: if the disk refuses.
        """
        numbers = self.numbers()
        number = max([self.current(), *numbers], default=0) + 1
        if number > 9999:
            raise AdaptationError(f"{self._folder}: has no number left: remove the folder")
        version = Version(number=number, bundle=bundle, lessons=lessons, learned=learned)
        self._write(self._path(number), _encode(version))
        self.use(number)
        for old in numbers[: max(0, len(numbers) + 1 - KEPT)]:
            self._path(old).unlink(missing_ok=True)
        return version

    def use(self, number: int) -> None:
        """Uses version `number` from now on; 0 for the shipped head. Call it while `locked`.

        Raises:
            AdaptationError: if the disk refuses.
        """
        with contextlib.suppress(OSError):
            (self._folder / "dropped").unlink()
        self._write(self._folder / "current", f"{number}\n".encode())

    def drop(self, number: int, bundle: str) -> None:
        """Notes that version `number` does not go with `bundle`, until one is used anew.

        Call it while `locked`.

        Raises:
            AdaptationError: if the disk refuses.
        """
        self._write(self._folder / "dropped", f"{number} {bundle}\n".encode())

    def dropped_for(self, number: int) -> str | None:
        """The bundle that version `number` does not go with, if that is known of one."""
        try:
            noted, bundle = (self._folder / "dropped").read_text().split()
        except (OSError, ValueError):
            return None
        return bundle if noted == str(number) else None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other writers waiting.

        Raises:
            AdaptationError: if the folder cannot be written.
        """
        lock = self._folder / ".lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(lock, flags, 0o644)
            hand_over(self._root, self._folder, lock)
        except OSError as e:
            raise AdaptationError(f"{self._folder}: cannot be written: {e.strerror}") from e
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:04d}.npz"

    def _write(self, path: Path, data: bytes) -> None:
        # Imported where something is written: it brings TUF with it, which who only reads can spare.
        from edge_agent.update import durable
        from edge_agent.update.errors import StorageError

        try:
            with durable.storage_errors(self._folder):
                durable.write_whole(path, data)
                hand_over(self._root, path)
        except StorageError as e:
            raise AdaptationError(str(e)) from e


def _encode(version: Version) -> bytes:
    learned, head = version.learned, version.learned.head
    about = {
        "bundle": version.bundle,
        "words": [lesson.word for lesson in version.lessons],
        "labels": head.labels,
        "thresholds": dict(head.thresholds),
        "before": learned.before,
        "after": learned.after,
        "heard": dict(learned.heard),
        "distance": learned.distance,
    }
    arrays = {f"codes_{n}": lesson.codes for n, lesson in enumerate(version.lessons)}
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        weights=head.weights,
        bias=head.bias,
        **arrays,
    )
    return buffer.getvalue()


def _decode(number: int, data: bytes) -> Version:
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        about = json.loads(arrays["about"].tobytes())
        lessons = tuple(
            Lesson(word=str(word), codes=arrays[f"codes_{n}"].astype(np.int8, casting="safe"))
            for n, word in enumerate(about["words"])
        )
        head = Head(
            labels=tuple(map(str, about["labels"])),
            weights=arrays["weights"].astype(np.float32, casting="safe"),
            bias=arrays["bias"].astype(np.float32, casting="safe"),
            thresholds=_shares(about["thresholds"]),
        )
    learned = Learned(
        head=head,
        before=float(about["before"]),
        after=float(about["after"]),
        heard=_shares(about["heard"]),
        distance=float(about["distance"]),
    )
    return Version(number=number, bundle=str(about["bundle"]), lessons=lessons, learned=learned)


def _shares(table: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in table.items()}
