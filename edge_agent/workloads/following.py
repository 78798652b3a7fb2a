"""The room of the keyword workload: taken up where the process before left it, and kept."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.kept_room import KeptRoom, is_kept, read_room, write_room
from edge_agent.bundle.manifest import DetectionPolicy, RoomBounds
from edge_agent.keyword.room import Heard, Room
from edge_agent.workloads.counting import Counting

_LOOK_S = 1.0
# Flash wears with each write, and what an hour teaches is soon learned again.
_KEEP_S = 3600.0


class FollowedRoom:
    """The room that thresholds follow.

    Attributes:
        room: for the spotters.
    """

    def __init__(
        self,
        root: Path,
        bundle: str,
        version: int,
        policy: DetectionPolicy,
        bounds: RoomBounds,
        counting: Counting,
    ) -> None:
        """Goes on where the device folder `root` says, if that is of `bundle` and `version`."""
        self.room = Room(policy, bounds)
        self._root, self._bundle, self._version = root, bundle, version
        self._counting = counting
        kept = read_room(root)
        if kept is not None and (kept.bundle, kept.version) == (bundle, version):
            self.room.put(kept.heard)
        self._looked = time.monotonic()
        self.keep()

    def look(self) -> None:
        """Keeps what was heard, now and then; begins anew where that was taken away."""
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        if self._is_written and not is_kept(self._root):
            self.room.put(Heard())
            self.keep()
        elif now - self._kept >= _KEEP_S:
            self.keep()
        self._counting.drift = self.room.drift

    def keep(self) -> None:
        """Keeps what was heard; on a full disk, later."""
        self._kept = time.monotonic()
        self._is_written = False
        room = self.room
        kept = KeptRoom(
            bundle=self._bundle, version=self._version, heard=room.heard, accepts=room.accepts,
            drift=room.drift,
        )  # fmt: skip
        with contextlib.suppress(AdaptationError):
            write_room(self._root, kept)
            self._is_written = True
        self._counting.drift = room.drift
