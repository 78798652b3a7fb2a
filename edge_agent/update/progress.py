"""How an action goes, told to the server on the way: each change once, and no more than it has room for.

A device may wait for hours, and be asked anew every half minute. hawkBit keeps a limited number of entries
of an action, 1,000 as shipped, and refuses all that come after those, the end among them. So what was told
last is kept over restarts and not repeated, and one action gets no more than `MAX_TOLD` entries before its
end.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from edge_agent.decoding import DecodeError, decode
from edge_agent.update import durable
from edge_agent.update.ddi import DdiClient, Execution, NotTakenError
from edge_agent.update.durable import storage_errors

MAX_TOLD = 60
"""Entries of one action before its end."""

_FILE = "progress.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Told:
    action: str
    execution: str
    detail: str
    count: int


class Progress:
    """Tells the server `ddi` how its actions go; keeps what it told last in the device folder `root`."""

    def __init__(self, ddi: DdiClient, root: Path) -> None:
        self._ddi = ddi
        self._path = root / _FILE

    def tell(self, action: str, execution: Execution, detail: str) -> None:
        """Tells that `action` has come to this, unless that was told last, or too much was told already.

        Raises:
            UnreachableError: if the server does not answer.
            StorageError: if what was told cannot be kept.
        """
        last = self._last()
        count = last.count if last is not None and last.action == action else 0
        told = _Told(action=action, execution=execution, detail=detail, count=count + 1)
        repeated = last == dataclasses.replace(told, count=count)
        if repeated or count >= MAX_TOLD:
            return
        try:
            self._ddi.feedback(action, execution, "none", detail)
        except NotTakenError:
            told = dataclasses.replace(told, count=MAX_TOLD)
        with storage_errors(self._path.parent):
            durable.write_whole(self._path, json.dumps(dataclasses.asdict(told)).encode())

    def _last(self) -> _Told | None:
        try:
            return decode(_Told, json.loads(self._path.read_bytes()))
        except (OSError, ValueError, RecursionError, DecodeError):
            return None
