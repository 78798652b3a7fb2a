"""Draws the picture of an alarm's hour in a process of its own.

    python -m edge_agent.workloads.alarm_drawing TABLE MOST_BYTES SECONDS

The hour comes pickled on standard input from `start_drawing`. This is a new process and no fork of the
workload's: that has threads, and a lock that one of them holds at a fork is never let go of.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from edge_agent.child_environment import child_environment
from edge_agent.watching.alarm_folder import AlarmFolder
from edge_agent.watching.alarm_hour import AlarmHour

_LONGEST_S = 120


def start_drawing(hour: AlarmHour, table: Path, most_bytes: int) -> subprocess.Popen[bytes]:
    """Draws `hour` beside its `table`, in a folder that holds at most `most_bytes`, in a process of its own.

    Raises:
        OSError: if the process cannot be started, or there is no room to hand it the hour.
    """
    words = ("edge_agent.workloads.alarm_drawing", str(table), str(most_bytes), str(_LONGEST_S))
    with tempfile.TemporaryFile() as given:
        pickle.dump(hour, given)
        given.seek(0)
        return subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=given,
            stdout=subprocess.DEVNULL,
            env=child_environment(),
        )


def main(table: str, most_bytes: str, seconds: str) -> None:
    """Draws what is handed over; within `seconds`, or not at all."""
    signal.alarm(int(seconds))
    os.nice(10)
    hour = pickle.load(sys.stdin.buffer)
    from edge_agent.watching.alarm_picture import NoPillowError, draw

    with contextlib.suppress(NoPillowError):  # without the extra there is the table alone
        AlarmFolder(Path(table).parent, int(most_bytes)).add_picture(Path(table), draw(hour))


if __name__ == "__main__":
    main(*sys.argv[1:])
