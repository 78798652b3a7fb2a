"""The runner: whole outputs or none, plain errors, gates, and nothing left when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.artifacts import RECORDINGS, read_json
from components.base import Channel, UserError
from pipeline.execution import StepCrashed
from pipeline.lineage.schema import Context, Execution
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe
from pipeline.root_lock import hold
from pipeline.runner import RunResult, run_recipe
from tests.fixtures.lineage_rows import rows
from tests.fixtures.processes import is_running
from tests.fixtures.steps import Fail, Judge, Meet, NeedDecimal, Release, StepParameters, Write

ROOT = Path(__file__).resolve().parents[2]


class View:
    """Notes what it is shown; interrupts at the first progress if it is told to."""

    def __init__(self, *, interrupts: bool = False) -> None:
        self.seen: list[tuple[object, ...]] = []
        self._interrupts = interrupts

    def step_started(self, id: str, number: int, of: int) -> None:
        self.seen.append(("started", id, number, of))

    def step_cached(self, id: str, number: int, of: int) -> None:
        self.seen.append(("cached", id, number, of))

    def step_progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        self.seen.append(("progress", id, done, total, unit, note))
        if self._interrupts:
            raise KeyboardInterrupt

    def warning(self, message: str) -> None:
        self.seen.append(("warning", message))

    def step_finished(self, id: str, seconds: float, metrics: dict[str, float]) -> None:
        self.seen.append(("finished", id, metrics))

    def step_failed(self, id: str, message: str) -> None:
        self.seen.append(("failed", id, message))


@pytest.fixture
def store(tmp_path):
    store = LineageStore.at(tmp_path)
    yield store
    store.close()


@pytest.fixture(params=[(), ("decimal",)], ids=["anew", "forked"])
def preloads(request, monkeypatch) -> tuple[str, ...]:
    """Whether a step's process is begun anew, or forked from one that has imported something."""
    for component in (Fail, Meet):
        monkeypatch.setattr(component, "PRELOADS", request.param)
    preloads: tuple[str, ...] = request.param
    return preloads


def run(store: LineageStore, root: Path, view: View, *components) -> RunResult:
    with hold(root) as lock:
        return run_recipe(Recipe("try", components), root, store, view, lock)


def fails(how: str) -> tuple[Write, Fail]:
    first = Write()
    return first, Fail(StepParameters(how=how), examples=first.outputs["examples"])


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_run_gives_each_step_its_folders_and_records_it(store, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.wav").write_text("sound")
    outside = Channel(RECORDINGS, path=tmp_path / "data")
    first = Write(StepParameters(text="one"), "First", recordings=outside)
    second = Write(None, "Second", examples=first.outputs["examples"])
    view = View()
    result = run(store, tmp_path, view, first, second)

    folder = tmp_path / "try" / "runs" / "000001"
    assert sorted(path.name for path in folder.iterdir()) == ["First", "Second", "logs"]
    assert result.artifacts["First.examples"] == folder / "First" / "examples"
    assert (folder / "First" / "examples" / "text").read_text() == "one"
    assert (folder / "First" / "model" / "given").read_text() == "a.wav"
    assert (folder / "Second" / "model" / "given").read_text() == "text"
    assert read_json(folder / "First" / "model" / "lineage.json")["component"] == "Write"
    assert "this goes to the log" in (folder / "logs" / "First.log").read_text()
    assert [(s.id, s.metrics) for s in result.steps] == [
        ("First", {"files": 1.0}),
        ("Second", {"files": 1.0}),
    ]
    assert not result.refused
    assert view.seen[0] == ("started", "First", 1, 2)
    assert ("warning", "look out") in view.seen
    assert ("progress", "First", 2, 2, "files", "done") in view.seen
    assert ("finished", "First", {"files": 1.0}) in view.seen
    assert [c.state for c in rows(store, Context)] == ["complete"]
    executions = rows(store, Execution)
    assert [(e.component, e.type, e.state) for e in executions] == [
        ("First", "Write", "complete"),
        ("Second", "Write", "complete"),
    ]
    assert executions[0].parameters["text"] == "one"
    keys = [
        read_json(folder / name / "examples" / "lineage.json")["cache_key"]
        for name in ("First", "Second")
    ]
    assert keys == [e.cache_key for e in executions]
    assert keys[0] != keys[1]


@pytest.mark.usefixtures("preloads")
@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("error", UserError, ["file.wav: is no recording: take it away"]),
        ("disk", UserError, ["big.npy: No space left on device"]),
        ("memory", UserError, ["out of memory"]),
        ("abort", StepCrashed, ["Fail was ended by signal 6", "the last words"]),
        ("exit", StepCrashed, ["Fail ended with exit code 7", "the last words"]),
        (
            "exception",
            StepCrashed,
            ["Fail ended with exit code 1", "the last words", "ZeroDivisionError: never by nought"],
        ),
    ],
)
def test_a_step_that_fails_leaves_nothing_and_says_why(store, tmp_path, how, error, said):
    view = View()
    with pytest.raises(error) as caught:
        run(store, tmp_path, view, *fails(how))
    for words in said:
        assert words in str(caught.value)
    folder = tmp_path / "try" / "runs" / "000001"
    assert sorted(path.name for path in folder.iterdir()) == ["Write", "logs"]
    assert view.seen[-1] == ("failed", "Fail", str(caught.value))
    assert [c.state for c in rows(store, Context)] == ["failed"]
    assert [e.state for e in rows(store, Execution)] == ["complete", "failed"]


@pytest.mark.usefixtures("preloads")
def test_temporary_files_of_a_step_go_with_it(store, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with pytest.raises(StepCrashed):
        run(store, tmp_path, View(), *fails("abort"))
    assert list(scratch.iterdir()) == []


def test_a_run_whose_first_step_fails_leaves_its_log_alone(store, tmp_path):
    outside = Channel(Write.OUTPUTS["examples"], path=tmp_path / "examples")
    (tmp_path / "examples").mkdir()
    with pytest.raises(UserError):
        run(store, tmp_path, View(), Fail(examples=outside))
    assert [path.name for path in (tmp_path / "try" / "runs" / "000001").iterdir()] == ["logs"]
    assert list((tmp_path / "try" / "partial").iterdir()) == []


@pytest.mark.parametrize(("text", "refused"), [("good", False), ("bad", True)])
def test_a_gated_step_runs_only_if_the_gates_hold(store, tmp_path, text, refused):
    result = run(store, tmp_path, View(), Judge(StepParameters(text=text)), Release(), Write())
    assert result.refused is refused
    assert ("Release.release" in result.artifacts) is not refused
    assert (tmp_path / "try" / "runs" / "000001" / "Release").exists() is not refused
    assert "Write.examples" in result.artifacts
    assert [(gate.name, gate.passed) for gate in result.gates] == [("good", not refused)]
    assert [c.state for c in rows(store, Context)] == ["refused" if refused else "complete"]


@pytest.mark.usefixtures("preloads")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: one step at a time")
def test_steps_that_need_not_be_alone_run_side_by_side(store, tmp_path):
    (tmp_path / "there").mkdir()
    parameters = StepParameters(text=str(tmp_path / "there"))
    result = run(store, tmp_path, View(), Meet(parameters, "One"), Meet(parameters, "Other"))
    assert set(result.artifacts) == {"One.model", "Other.model"}


def test_steps_that_need_the_same_are_forks_of_one_process_that_has_it(store, tmp_path):
    steps = [
        NeedDecimal(StepParameters(text=text), name) for text, name in [("1", "One"), ("2", "Two")]
    ]
    result = run(store, tmp_path, View(), *steps)
    told = [(result.artifacts[f"{step.id}.model"] / "told").read_text() for step in steps]
    parent = told[0].split()[0]
    assert told == [f"{parent} True"] * 2
    assert int(parent) != os.getpid()


def test_what_forked_steps_used_counts_as_the_run_s(tmp_path):
    script = """
import atexit, resource, sys
from pathlib import Path
atexit.register(lambda: print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
from pipeline.execution import Execution
from tests.fixtures.steps import NeedDecimal
made, log = Path(sys.argv[1]), Path(sys.argv[1]) / "log"
Execution(NeedDecimal(), {}, {"model": made}, log).result(None)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) > 0


@pytest.mark.parametrize("module", ["tests.no_such_module", "tests.fixtures.dying_forks"])
def test_a_step_that_cannot_be_forked_is_begun_anew(store, tmp_path, monkeypatch, module):
    monkeypatch.setattr(NeedDecimal, "PRELOADS", (module,))
    result = run(store, tmp_path, View(), NeedDecimal())
    told = (result.artifacts["NeedDecimal.model"] / "told").read_text()
    assert told == f"{os.getpid()} False"


@pytest.mark.usefixtures("preloads")
def test_an_interrupt_ends_the_step_and_leaves_nothing_of_it(store, tmp_path):
    view = View(interrupts=True)
    there = tmp_path / "there"
    outside = Channel(Write.OUTPUTS["examples"], path=tmp_path / "examples")
    (tmp_path / "examples").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path, view, Fail(StepParameters(how=str(there)), examples=outside))
    assert not is_running(int(there.read_text()))
    assert view.seen[-1] == ("failed", "Fail", "interrupted")
    assert list((tmp_path / "try" / "partial").iterdir()) == []
    assert [c.state for c in rows(store, Context)] == ["interrupted"]
    assert [e.state for e in rows(store, Execution)] == ["interrupted"]


class InterruptedAtOnce(ThreadPoolExecutor):
    """Ctrl-C comes while a step is handed to its thread."""

    def submit(self, *call, **options):
        super().submit(*call, **options)
        raise KeyboardInterrupt


def test_an_interrupt_as_a_step_begins_ends_it_too(store, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.runner.ThreadPoolExecutor", InterruptedAtOnce)
    view, there = View(), tmp_path / "there"
    outside = Channel(Write.OUTPUTS["examples"], path=tmp_path / "examples")
    (tmp_path / "examples").mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path, view, Fail(StepParameters(how=str(there)), examples=outside))
    assert view.seen[-1] == ("failed", "Fail", "interrupted")
    assert list((tmp_path / "try" / "partial").iterdir()) == []
    assert [e.state for e in rows(store, Execution)] == ["interrupted"]


RUNNER = """
import sys
from pathlib import Path
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe
from pipeline.root_lock import hold
from pipeline.runner import run_recipe
from pipeline.ui.run_view import RunView
from tests.fixtures.steps import Fail, StepParameters, Write

root = Path(sys.argv[1])
Fail.PRELOADS = tuple(sys.argv[2:])
first = Write()
last = Fail(StepParameters(how=str(root / "there")), examples=first.outputs["examples"])
with RunView() as view, hold(root) as lock:
    run_recipe(Recipe("try", (first, last)), root, LineageStore.at(root), view, lock)
"""


@pytest.fixture
def hanging(tmp_path, preloads):
    """A runner in a process of its own, whose second step hangs: (runner, id of the step)."""
    path = os.pathsep.join(p for p in (str(ROOT), *sys.path) if p)
    runner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUNNER), str(tmp_path), *preloads],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        wait_for(lambda: (tmp_path / "there").exists() or runner.poll() is not None)
        yield runner, int((tmp_path / "there").read_text())
    finally:
        runner.kill()
        runner.communicate()


def test_ctrl_c_ends_the_step_and_leaves_no_half_made_folder(hanging, tmp_path):
    runner, step = hanging
    runner.send_signal(signal.SIGINT)
    runner.wait(60)
    assert not is_running(step)
    folder = tmp_path / "try" / "runs" / "000001"
    assert sorted(path.name for path in folder.iterdir()) == ["Write", "logs"]
    store = LineageStore.at(tmp_path)
    assert [c.state for c in rows(store, Context)] == ["interrupted"]
    store.close()


def test_a_step_ends_when_its_runner_is_killed(hanging):
    runner, step = hanging
    runner.kill()
    runner.wait(60)
    wait_for(lambda: not is_running(step), 10)
