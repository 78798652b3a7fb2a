"""What the device is to tell the fleet server of its work: a file between the daemon, which counts, and the
updater, which talks.

The daemon adds what was done since its last turn; the updater takes out what the server has. Each does so
as a whole, and a report has a number that rises, so that one which the server got and the updater did not
hear of counts once.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from edge_agent.update import durable
from edge_agent.update.durable import storage_errors

_FILE = "telemetry.json"
_MOST = 8  # releases of which something waits to be told


@dataclasses.dataclass(kw_only=True)
class Work:
    """What was done with one release since it was last told of.

    Attributes:
        hours: for which a workload ran.
        triggers: keywords found; None if none are looked for.
        anomalies: alarms that began; None likewise.
        crashes: of the workload's process.
        inferences: how many.
        busy_ms: they took in all.
        scores: how many gave a score from 0 to 1.
        score_sum: of these.
        distance: of what was learned here from what was shipped.
    """

    hours: float = 0.0
    triggers: int | None = None
    anomalies: int | None = None
    crashes: int = 0
    inferences: int = 0
    busy_ms: float = 0.0
    scores: int = 0
    score_sum: float = 0.0
    distance: float = 0.0


def keep(root: Path, done: dict[tuple[str, str], Work]) -> bool:
    """Leaves `done`, by name and version of the release, to be told; false while earlier work waits.

    Raises:
        StorageError: if the folder `root` cannot be written.
    """
    sequence, waiting = _read(root)
    if waiting:
        return False
    reports = []
    for (name, version), work in list(done.items())[-_MOST:]:
        # By the clock, so that a device which lost its folder goes on above what it told before.
        sequence = max(sequence + 1, int(time.time()))
        release = {"name": name, "version": version}
        reports.append({"release": release, "sequence": sequence, **dataclasses.asdict(work)})
    _write(root, sequence, reports)
    return True


def waiting(root: Path) -> list[dict[str, Any]]:
    """The reports that wait to be told, oldest first."""
    return _read(root)[1]


def told(root: Path, report: dict[str, Any]) -> None:
    """The server has `report`, or does not want it.

    Raises:
        StorageError: if the folder `root` cannot be written.
    """
    sequence, reports = _read(root)
    _write(root, sequence, [each for each in reports if each != report])


def _read(root: Path) -> tuple[int, list[dict[str, Any]]]:
    """The last number, and what waits; a file that is none is begun anew."""
    try:
        content = json.loads((root / _FILE).read_bytes())
        sequence, reports = content["sequence"], content["reports"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return 0, []
    if type(sequence) is not int or not isinstance(reports, list):
        return 0, []
    return sequence, [report for report in reports if isinstance(report, dict)]


def _write(root: Path, sequence: int, reports: list[dict[str, Any]]) -> None:
    with storage_errors(root):
        data = json.dumps({"sequence": sequence, "reports": reports}).encode()
        durable.write_whole(root / _FILE, data)
