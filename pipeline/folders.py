"""Where a recipe's runs keep things below the root, and how they come there whole.

<root>/<recipe>/runs/NNNNNN/<Component>/<output>/       artifacts, never changed
<root>/<recipe>/runs/NNNNNN/logs/<Component>.log
<root>/<recipe>/partial/<Component>-<key>/<output>/     what is being made
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from components.base import CHECKPOINT, Component

_KEY_LENGTH = 16
_LOGS = "logs"


class RecipeFolders:
    """The folders of one recipe below `root`; whoever changes them holds the root's lock."""

    def __init__(self, root: Path, recipe: str) -> None:
        self._runs = root / recipe / "runs"
        self._partial = root / recipe / "partial"

    def run(self, number: int) -> Path:
        """The folder of run `number`."""
        return self._runs / f"{number:06d}"

    def log(self, number: int, component: Component) -> Path:
        """The log of `component` in run `number`, whose folder is there."""
        path = self.run(number) / _LOGS / f"{component.id}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def open_partial(self, component: Component, key: str) -> Path:
        """A folder with an empty folder for each output of `component`.

        What an interrupted execution with the same `key` left itself as its `CHECKPOINT` is in them
        again.
        """
        folder = self._partial / f"{component.id}-{key[:_KEY_LENGTH]}"
        for name in component.OUTPUTS:
            output = folder / name
            output.mkdir(parents=True, exist_ok=True)
            for path in output.iterdir():
                if path.name != CHECKPOINT:
                    _remove(path)
        return folder

    def publish(self, partial: Path, final: Path) -> None:
        """Moves what was made to its place: all of it or nothing, whatever happens."""
        for path in partial.glob(f"*/{CHECKPOINT}"):
            shutil.rmtree(path)
        for path in partial.rglob("*"):
            _sync(path)
        _sync(partial)
        final.parent.mkdir(parents=True, exist_ok=True)
        os.rename(partial, final)
        _sync(final.parent)

    def leave_partial(self, partial: Path) -> None:
        """Ends work on a partial folder: what holds no checkpoint is removed."""
        if not any(partial.glob(f"*/{CHECKPOINT}/*")):
            shutil.rmtree(partial, ignore_errors=True)

    def drop_partials(self) -> None:
        """Removes all partial folders, for a run that ended well needs none of them."""
        shutil.rmtree(self._partial, ignore_errors=True)

    def sweep(self, dead: Mapping[int, Collection[Path]]) -> None:
        """Removes what dead runs left: unrecorded artifacts, partial folders without a checkpoint.

        Args:
            dead: the artifacts that each of them had recorded, by the run's number.
        """
        if self._partial.is_dir():
            for partial in self._partial.iterdir():
                self.leave_partial(partial)
        for number, recorded in dead.items():
            run = self.run(number)
            kept = {run / _LOGS, *(artifact.parent for artifact in recorded)}
            if run.is_dir():
                for path in set(run.iterdir()) - kept:
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
