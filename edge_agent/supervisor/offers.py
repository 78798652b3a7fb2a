"""Which bundles a workload may run: the one of its settings, or those in the slots of the device folder.

The current slot comes first. The other one holds the release that ran before it, the last good one, unless
an update has put there what failed; it steps in where the first crashes again and again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge_agent.supervisor.life import Bundle
from edge_agent.update.slots import SLOTS, DeviceFolder


class BundleWatch:
    """Looks at the bundles for one workload; a file is read again only when it has changed."""

    def __init__(self, folder: DeviceFolder, path: str) -> None:
        """Knows nothing yet.

        Args:
            folder: the device's.
            path: the bundle of the settings; empty for the slots.
        """
        self._folder = folder
        self._path = path
        self._digests: dict[Path, tuple[tuple[int, ...], str]] = {}

    @property
    def missing(self) -> str:
        """What to say where no bundle is there."""
        if self._path:
            return f"{self._path}: is not there, and is waited for"
        return (
            f"{self._folder.root}: holds no release, and one is waited for: install it (python -m "
            "edge_agent install), or say in agent.toml where it comes from ([repository] or [fleet])"
        )

    def look(self) -> tuple[Bundle, ...]:
        """The bundles that are there, the best first."""
        if self._path:
            return tuple(filter(None, [self._bundle(Path(self._path))]))
        current = self._folder.current()
        if current is None:
            return ()
        others = [slot for slot in SLOTS if slot != current]
        found = [self._bundle(self._folder.bundle(slot)) for slot in (current, *others)]
        failed = {failure.digest for failure in self._folder.memory().failed}
        first, *rest = found
        good = [bundle for bundle in rest if bundle and bundle.digest not in failed]
        return (first, *good) if first else ()

    def _bundle(self, path: Path) -> Bundle | None:
        try:
            found = path.stat()
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            known = self._digests.get(path)
            if known is None or known[0] != state:
                with path.open("rb") as file:
                    known = (state, hashlib.file_digest(file, "sha256").hexdigest())
                self._digests[path] = known
        except OSError:
            return None
        return Bundle(str(path), known[1])
