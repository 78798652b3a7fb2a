"""Recipes as Kubeflow pipelines, run by Kubeflow's own local runner, a process a step."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components, local

from components.artifacts import RECORDINGS, read_gates
from components.base import Channel
from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.commands.recipe_arguments import make_recipe
from pipeline.kubeflow import step
from pipeline.kubeflow.compiler import Target, graph, snake, write
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe
from pipeline.root_lock import hold
from pipeline.runner import RunResult, run_recipe
from pipeline.ui.run_view import RunView
from tests.fixtures.steps import Judge, Release, StepParameters, Write

ROOT = Path(__file__).resolve().parents[2]
STEP = (sys.executable, "-m", "pipeline.kubeflow.step")


def tiny(recordings: Path) -> Recipe:
    """Two steps, one of which takes what the other makes, a gate, and a release behind it."""
    first = Write(
        StepParameters(text='a "b" \\ $c\nd'),
        "FirstWrite",
        recordings=Channel(RECORDINGS, path=recordings),
    )
    second = Write(StepParameters(), "SecondWrite", examples=first.outputs["examples"])
    return Recipe("tiny_recipe", (first, second, Judge(StepParameters(text="good")), Release()))


def refused(recordings: Path) -> Recipe:
    """A step, a gate that does not hold, and a release behind it."""
    write = Write(StepParameters(), recordings=Channel(RECORDINGS, path=recordings))
    return Recipe("tiny_recipe", (write, Judge(StepParameters(text="bad")), Release()))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    path = tmp_path / "recordings" / "yes"
    path.mkdir(parents=True)
    (path / "a.wav").write_bytes(b"sound")
    return path.parent


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the local runner leaves what the steps make."""
    path = os.pathsep.join(p for p in (str(ROOT), *sys.path) if p)
    monkeypatch.setenv("PYTHONPATH", path)
    root = tmp_path / "kubeflow"
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(root))
    yield root
    local.config.LocalExecutionConfig.instance = None


def run_compiled(recipe: Recipe, folder: Path, imported: dict[Path, str] | None = None) -> None:
    """Runs `recipe` from the file that it is compiled into."""
    target = Target(image="python:3.11", command=STEP, imported=imported or {})
    write(graph(recipe, target), folder / "pipeline.yaml")
    components.load_component_from_file(str(folder / "pipeline.yaml"))()


def made(ran: Path, id: str) -> Path:
    """The folder of the outputs of a step."""
    (folder,) = ran.glob(f"tiny-recipe-*/{named(id)}")
    return folder


def run_here(recipe: Recipe, root: Path) -> RunResult:
    root.mkdir()
    with (
        hold(root) as lock,
        contextlib.closing(LineageStore.at(root)) as store,
        RunView() as view,
    ):
        return run_recipe(recipe, root, store, view, lock)


@pytest.mark.slow
def test_a_compiled_recipe_makes_what_a_run_makes_to_the_byte(tmp_path, recordings, ran):
    run_compiled(tiny(recordings), tmp_path)
    here = run_here(tiny(recordings), tmp_path / "root")
    assert len(here.artifacts) == 6
    for name, folder in here.artifacts.items():
        id, _, output = name.partition(".")
        there = made(ran, id) / f"output_{output}"
        files = sorted(path.relative_to(folder) for path in folder.rglob("*"))
        assert sorted(path.relative_to(there) for path in there.rglob("*")) == files
        for file in files:
            assert (there / file).read_bytes() == (folder / file).read_bytes()
    assert (made(ran, "FirstWrite") / "output_model" / "given").read_text() == "a.wav"
    assert read_gates(made(ran, "Judge") / "decided_gates") == list(here.gates)


@pytest.mark.slow
def test_a_step_behind_a_gate_that_does_not_hold_fails_and_says_so(
    tmp_path, recordings, ran, capfd
):
    with pytest.raises(RuntimeError, match="release"):
        run_compiled(refused(recordings), tmp_path, {recordings: str(recordings)})
    said = capfd.readouterr().out
    assert "Release is not run, as gates do not hold: good is 0, the limit 1: be good" in said
    assert (made(ran, "Write") / "output_model" / "given").read_text() == "a.wav"
    assert not (made(ran, "Release") / "output_release").exists()


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        ("error", 1, "error: file.wav: is no recording: take it away"),
        ("abort", 1, "error: Fail was ended by signal 6"),
        ("disk", 1, "error: big.npy: No space left on device"),
    ],
)
def test_a_step_that_fails_says_why(tmp_path, capfd, how, code, said):
    specification = {
        "component": "tests.fixtures.steps:Fail",
        "id": "Fail",
        "settings": [f"Fail.how={how}"],
        "inputs": {"examples": str(tmp_path)},
        "outputs": {"features": str(tmp_path / "new" / "features")},
        "gates": [],
        "decided": str(tmp_path / "decided"),
    }
    assert step.main(["step", json.dumps(specification)]) == code
    assert said in capfd.readouterr().err
    assert not (tmp_path / "decided").exists()


def compiled(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    output = tmp_path / "pipeline.yaml"
    words = ("--image", "registry.example.org/pipeline:1.4", "--output", str(output), *arguments)
    assert main(parse(["pipeline", "compile", "keyword_spotting", *words])) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]
    found: dict[str, Any] = yaml.safe_load(output.read_text())
    return found


def specification_of(executor: dict[str, Any]) -> dict[str, Any]:
    """What the step of an executor is told, but for the folders, which Kubeflow chooses."""
    (source,) = (part for part in executor["container"]["command"] if "\ndef " in part)
    (line,) = (line for line in source.splitlines() if "json.loads(" in line)
    text = line.partition("json.loads(")[2].removesuffix(")")
    found: dict[str, Any] = json.loads(eval(text))
    return found


def test_every_step_of_keyword_spotting_is_there_wired_and_set_as_in_the_recipe(tmp_path):
    settings = (
        "--root",
        "/mnt/models",
        "--seed",
        "7",
        "--set",
        "Trainer.widths=8,16",
        "--",
        "--x=1",
    )
    found = compiled(tmp_path, "--data", "s3://bucket/recordings", *settings)
    tasks = found["root"]["dag"]["tasks"]
    executors = found["deploymentSpec"]["executors"]
    arguments = parse(["pipeline", "run", "keyword_spotting", *settings])
    recipe = make_recipe(arguments, Path("/mnt/models"), Path("data"))
    assert len(tasks) == len(recipe.components) + 1  # and one that imports the recordings
    for component in recipe.components:
        task, executor = tasks[named(component.id)], executors[f"exec-{named(component.id)}"]
        assert executor["container"]["image"] == "registry.example.org/pipeline:1.4"
        assert task["cachingOptions"] == {}
        assert wiring(task) == {
            name: (named(channel.producer), f"output_{channel.output}")
            if channel.producer
            else ("importer", "artifact")
            for name, channel in component.inputs.items()
            if channel.history is None  # there is none when a pipeline is compiled
        }
        specification = specification_of(executor) | {
            "inputs": dict.fromkeys(component.inputs, "folder")
        }
        again = step._component(specification)
        assert (type(again), again.id) == (type(component), component.id)
        assert again.parameters == component.parameters
    guards = {name for name in tasks["pusher"]["inputs"]["artifacts"] if "gates_of_" in name}
    assert guards == {f"gates_of_{snake(c.id)}" for c in recipe.components[:-1]}


def named(id: str) -> str:
    """The name of a step's task."""
    return snake(id).replace("_", "-")


def wiring(task: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The task and the output that each input comes from, without the gates."""
    found = {
        name: (
            source["taskOutputArtifact"]["producerTask"],
            source["taskOutputArtifact"]["outputArtifactKey"],
        )
        for name, source in task["inputs"]["artifacts"].items()
    }
    return {name: source for name, source in found.items() if not name.startswith("gates_of_")}


def test_recordings_in_a_folder_are_a_path_in_the_containers(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    output = tmp_path / "out"
    output.mkdir()
    found = compiled(output, "--data", str(data))
    assert "importer" not in found["root"]["dag"]["tasks"]
    executor = found["deploymentSpec"]["executors"]["exec-example-gen"]
    assert specification_of(executor)["inputs"] == {"recordings": str(data)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "pipeline.json"], "--output pipeline.json: name a file that ends in .yaml"),
        (["--data", "missing"], "missing: no such folder"),
        (["--data", "s3://bucket/x", "--keywords", "yes"], "give --data or --keywords, not both"),
        (["--command", ""], "--command: is empty"),
        (["--command", "'a"], "--command 'a: cannot be read: No closing quotation"),
        (["--set", "Trainr.epochs=1"], "did you mean Trainer?"),
    ],
)
def test_what_cannot_be_compiled_is_told_and_writes_nothing(tmp_path, capsys, arguments, said):
    output = tmp_path / "pipeline.yaml"
    words = ["--image", "python:3.11", "--output", str(output), *arguments]
    assert main(parse(["pipeline", "compile", "keyword_spotting", *words])) == 1
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
