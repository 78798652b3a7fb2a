"""What a run would do, and which part of a key has changed."""

from __future__ import annotations

import json

import pytest

from components.artifacts import RECORDINGS
from components.base import Channel, Component
from pipeline import keys
from pipeline.explanation import differences, explain
from pipeline.lineage.schema import Execution
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe
from tests.fixtures.roots import Root
from tests.fixtures.steps import StepParameters, Write


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.wav").write_text("sound")
    return Root(tmp_path / "root")


def steps(root: Root, first: str = "one", second: str = "two") -> tuple[Component, ...]:
    recordings = Channel(RECORDINGS, path=root.folder.parent / "data")
    one = Write(StepParameters(text=first), "One", recordings=recordings)
    return one, Write(StepParameters(text=second), "Two", examples=one.outputs["examples"])


def explained(root: Root, *components: Component) -> dict[str, tuple[str, ...] | bool]:
    """True for a step that is a hit, else what has changed."""
    store = LineageStore.at(root.folder)
    try:
        found = explain(Recipe("try", components), root.folder, store)
    finally:
        store.close()
    return {step.name: step.hit or step.changed for step in found}


def test_before_the_first_run_nothing_has_ever_run(root):
    assert explained(root, *steps(root)) == {
        "One": ("it has never run",),
        "Two": ("it has never run", "inputs.examples: One runs first"),
    }
    assert root.rows(Execution) == []


def test_an_unchanged_recipe_is_hits_alone(root):
    root.run(*steps(root))
    assert explained(root, *steps(root)) == {"One": True, "Two": True}


def test_a_changed_parameter_is_named(root):
    root.run(*steps(root))
    assert explained(root, *steps(root, first="1")) == {
        "One": ("parameters.text: one -> 1",),
        "Two": ("inputs.examples: One runs first",),
    }
    assert explained(root, *steps(root, second="2")) == {
        "One": True,
        "Two": ("parameters.text: two -> 2",),
    }


def test_a_changed_input_is_named(root):
    root.run(*steps(root))
    (root.folder.parent / "data" / "b.wav").write_text("more")
    found = explained(root, *steps(root))
    assert isinstance(found["One"], tuple)
    (said,) = found["One"]
    assert said.startswith("inputs.recordings: ")


def test_a_changed_module_and_package_are_named(root, monkeypatch):
    root.run(*steps(root))
    (memory,) = (
        path
        for path in (root.folder / ".memory" / "code").glob("*.json")
        if path.name != "sources.json"
    )
    files = json.loads(memory.read_text())
    older = {**files, "components.base": "0" * 64, "components.gone": "1" * 64}
    monkeypatch.setattr("pipeline.code_digest.CodeDigests.files_of", lambda *_: older)
    monkeypatch.setattr("pipeline.code_digest._EVERY_STEP", "components.artifacts")
    found = explained(root, *steps(root))
    assert isinstance(found["One"], tuple)
    assert {"code: components.base", "code: components.gone"} <= set(found["One"])

    monkeypatch.undo()
    now = {**keys.environment(), "numpy": "9.9"}
    monkeypatch.setattr(keys, "environment", lambda: now)
    found = explained(root, *steps(root))
    assert isinstance(found["One"], tuple)
    (said,) = found["One"]
    assert said.startswith("environment.numpy: ")
    assert said.endswith(" -> 9.9")


def test_a_damaged_artifact_is_named(root):
    made = root.run(*steps(root))
    (made.artifacts["One.examples"] / "text").write_text("toe")
    found = explained(root, *steps(root))
    assert isinstance(found["One"], tuple)
    assert str(made.artifacts["One.examples"]) in found["One"][0]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {}, []),
        ({"parameters": {"a": 1}}, {"parameters": {"a": [1, 2]}}, ["parameters.a: 1 -> [1, 2]"]),
        ({"parameters": {}}, {"parameters": {"a": None}}, ["parameters.a: absent -> null"]),
        ({"parameters": {"a": 1}}, {}, ["parameters.a: 1 -> absent"]),
        ({"type": "A"}, {"type": "B"}, ["type: A -> B"]),
        (
            {"inputs": {"x": "a" * 64}},
            {"inputs": {"x": "b" * 64}},
            [f"inputs.x: {'a' * 12} -> {'b' * 12}"],
        ),
    ],
)
def test_each_difference_is_a_line(before, now, said):
    assert list(differences(before, now)) == said
