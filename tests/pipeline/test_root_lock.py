"""One run at a time at a root, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline import root_lock
from pipeline.root_lock import LOCK, RootBusy, hold

ROOT = Path(__file__).resolve().parents[2]

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.root_lock import hold
with hold(Path(sys.argv[1])) as descriptor:
    if sys.argv[2:]:
        import subprocess
        step = subprocess.Popen(
            ["sleep", "600"], pass_fds=[descriptor], stdout=subprocess.DEVNULL
        )
        print(step.pid, flush=True)
    else:
        print("held", flush=True)
    time.sleep(600)
"""


def holder(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """A process that holds the lock of `root`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    return process


def test_a_second_one_is_told_who_is_first(tmp_path):
    first = holder(tmp_path)
    try:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(RootBusy) as caught, hold(tmp_path):
            pass
        assert f"{tmp_path}: a run is under way there (process {first.pid})" in str(caught.value)
        assert "--root" in str(caught.value)
    finally:
        first.kill()
        first.communicate()
    with hold(tmp_path):  # the lock of a dead process is taken over
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_the_last_step_of_a_killed_run_is_waited_for(tmp_path, monkeypatch):
    first = holder(tmp_path, "with a step")
    step = int(first.stdout.readline())
    first.kill()
    first.communicate()
    monkeypatch.setattr(root_lock, "_STEPS_END", 0.2)
    with pytest.raises(RootBusy, match="one of its steps still runs"), hold(tmp_path):
        pass
    monkeypatch.setattr(root_lock, "_STEPS_END", 60.0)
    threading.Timer(0.3, os.kill, (step, signal.SIGKILL)).start()
    with hold(tmp_path):
        pass


def test_it_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path):
        raise ZeroDivisionError
    with hold(tmp_path):
        pass


def test_a_root_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, hold(tmp_path / "nowhere"):
        pass
    assert "nowhere" in str(caught.value.filename)
