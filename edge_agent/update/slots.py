"""The device folder: two slots, the link that says which one runs, and the record of what it holds.

    slots/a/release.bundle   slots/b/release.bundle
    current                  a relative link to one of the slots
    state.json               what the current slot holds
    tuf/                     trusted metadata

`current` alone decides; ``state.json`` describes it and is written after it, so after a power cut
between the two the record may be one release behind. Readers compare digests. Everything here
appears by rename, after it is synced, and the folder is synced before the next step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from edge_agent.decoding import DecodeError, decode
from edge_agent.update import durable
from edge_agent.update.durable import storage_errors
from edge_agent.update.errors import BusyError

SLOTS = ("a", "b")
BUNDLE_NAME = "release.bundle"
_MAX_STATE_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """What the current slot holds.

    Attributes:
        name: the line of releases, e.g. ``keyword_spotting``.
        version: the release's semantic version.
        digest: SHA-256 of the bundle, hex.
        slot: ``a`` or ``b``.
        target: the release's path in the repository.
    """

    name: str
    version: str
    digest: str
    slot: str
    target: str


class DeviceFolder:
    """The folder `root` of one device, made where it is missing.

    Raises:
        StorageError: if it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        with storage_errors(self.root):
            for folder in (self.metadata, *(self.root / "slots" / slot for slot in SLOTS)):
                durable.make_folder(folder)

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

    def current_digest(self) -> str | None:
        """SHA-256 (hex) of the bundle that runs, read from the bundle itself."""
        slot = self.current()
        return self._digest(slot) if slot else None

    def bundles(self) -> dict[str, Path]:
        """Where the bundles are that lie here, by their SHA-256 (hex)."""
        digests = {slot: self._digest(slot) for slot in SLOTS}
        return {digest: self.bundle(slot) for slot, digest in digests.items() if digest}

    def _digest(self, slot: str) -> str | None:
        try:
            with self.bundle(slot).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def free(self) -> str:
        """The slot that does not run."""
        return "b" if self.current() == "a" else "a"

    def state(self) -> State | None:
        """The record of what runs; None if there is none or it cannot be read."""
        try:
            with (self.root / "state.json").open("rb") as file:
                return decode(State, json.loads(file.read(_MAX_STATE_BYTES)))
        except (OSError, ValueError, RecursionError, DecodeError):
            return None

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

    def record(self, state: State) -> None:
        """Writes what the current slot holds, durably.

        Raises:
            StorageError: if the disk refuses.
        """
        text = json.dumps(dataclasses.asdict(state), indent=1, sort_keys=True) + "\n"
        with storage_errors(self.root):
            durable.write_whole(self.root / "state.json", text.encode())

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
            descriptor = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
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
