"""The device folder: two slots, the link that says which one runs, and the record of what it holds.

    slots/a/release.bundle   slots/b/release.bundle
    current                  a relative link to one of the slots
    state.json               what the update state machine remembers
    tuf/                     trusted metadata
    alarms/                  hours around alarms, within a bound of their own

`current` alone decides what runs; ``state.json`` says what it is and what is under way. Everything here
appears by rename, after it is synced, and the folder is synced before the next step.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from edge_agent.update import durable
from edge_agent.update.durable import storage_errors
from edge_agent.update.errors import BusyError
from edge_agent.update.memory import Memory, Release, decode_memory, encode

SLOTS = ("a", "b")
LOCK = ".lock"
ALARMS = "alarms"
BUNDLE_NAME = "release.bundle"
_MAX_STATE_BYTES = 64 * 1024


class DeviceFolder:
    """The folder `root` of one device, whether or not anything is there; whoever writes makes it first."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @classmethod
    def made(cls, root: Path) -> DeviceFolder:
        """The folder `root` of one device, made where it is missing.

        Raises:
            StorageError: if it cannot be made.
        """
        folder = cls(root)
        with storage_errors(folder.root):
            for inner in (folder.metadata, *(folder.bundle(slot).parent for slot in SLOTS)):
                durable.make_folder(inner)
        return folder

    @property
    def metadata(self) -> Path:
        """Where trusted metadata lies."""
        return self.root / "tuf"

    def bundle(self, slot: str) -> Path:
        """Where the bundle of `slot` lies, if it holds one."""
        return self.root / "slots" / slot / BUNDLE_NAME

    def aside(self, slot: str) -> Path:
        """Where a bundle meant for `slot` grows until it is proven."""
        return durable.aside(self.bundle(slot))

    def current(self) -> str | None:
        """The slot that runs, if any."""
        try:
            target = (self.root / "current").readlink()
        except OSError:
            return None
        return target.name if target.parent.name == "slots" and target.name in SLOTS else None

    def digest(self, slot: str) -> str | None:
        """SHA-256 (hex) of the bundle in `slot`, read from the bundle itself."""
        try:
            with self.bundle(slot).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def bundles(self) -> dict[str, Path]:
        """Where the bundles are that lie here, by their SHA-256 (hex)."""
        digests = {slot: self.digest(slot) for slot in SLOTS}
        return {digest: self.bundle(slot) for slot, digest in digests.items() if digest}

    def running(self, memory: Memory) -> Release | None:
        """What runs, by the link and the bundle that it leads to, under the name that `memory` knows."""
        slot = self.current()
        digest = self.digest(slot) if slot else None
        if slot is None or digest is None:
            return None
        for known in (memory.current, memory.candidate):
            if known and (known.slot, known.digest) == (slot, digest):
                return known
        return Release(name="", version="", digest=digest, slot=slot, target="")

    def memory(self) -> Memory:
        """What former updates left to remember; an empty memory where it is lost or damaged."""
        try:
            with (self.root / "state.json").open("rb") as file:
                return decode_memory(file.read(_MAX_STATE_BYTES)) or Memory()
        except OSError:
            return Memory()

    def settle(self, slot: str) -> None:
        """Moves the proven bundle from aside to its place in `slot`, durably.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.root):
            durable.place(self.aside(slot), self.bundle(slot))

    def flip(self, slot: str) -> None:
        """Makes `slot` the current one, durably and at once.

        Raises:
            StorageError: if the disk refuses; the former slot is still current.
        """
        with storage_errors(self.root):
            durable.replace_link(self.root / "current", Path("slots") / slot)

    def run_nothing(self) -> None:
        """Lets no slot be the current one, durably.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.root):
            (self.root / "current").unlink(missing_ok=True)
            durable.sync_folder(self.root)

    def restore(self, release: Release | None) -> None:
        """Makes `release` the one that runs, or lets nothing run; removes what lies aside.

        Raises:
            StorageError: if the disk refuses.
        """
        if release is None:
            self.run_nothing()
        else:
            self.flip(release.slot)
        self.sweep()

    def record(self, memory: Memory) -> None:
        """Makes `memory` durable.

        Raises:
            StorageError: if the disk refuses.
        """
        with storage_errors(self.root):
            durable.write_whole(self.root / "state.json", encode(memory))

    def sweep(self) -> None:
        """Removes what a failed or killed update left aside."""
        for name in ("current", "state.json"):
            durable.remove(durable.aside(self.root / name))
        for folder in (self.root / "slots", self.metadata):
            durable.sweep(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other updaters out; the system lets go of the lock if the process dies.

        Raises:
            BusyError: if another update is under way.
        """
        with storage_errors(self.root):
            descriptor = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    f"{self.root}: another update of this device is under way: wait for its end"
                ) from None
            yield
        finally:
            os.close(descriptor)
