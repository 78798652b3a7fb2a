"""A run takes what was made before, and nothing that is stale, damaged or half made."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from components.artifacts import EXAMPLES, RECORDINGS
from components.base import CHECKPOINT, Channel, Component, History, UserError
from pipeline import digests
from pipeline.execution import StepCrashed
from pipeline.lineage.schema import Context, Execution
from pipeline.lineage.store import LineageStore
from pipeline.runner import RunResult
from tests.fixtures.roots import Root
from tests.fixtures.steps import Continue, Judge, LookBack, Publish, Release, StepParameters, Write


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    return Root(folder)


def hits(result: RunResult) -> dict[str, bool]:
    return {step.id: step.hit for step in result.steps}


def chain(first: str = "one", second: str = "two", third: str = "three") -> list[Component]:
    one = Write(StepParameters(text=first), "One")
    two = Write(StepParameters(text=second), "Two", examples=one.outputs["examples"])
    three = Write(StepParameters(text=third), "Three", examples=two.outputs["examples"])
    return [one, two, three]


def test_an_unchanged_run_makes_nothing_and_has_the_same(root):
    first = root.run(*chain())
    second = root.run(*chain())
    assert hits(first) == {"One": False, "Two": False, "Three": False}
    assert hits(second) == {"One": True, "Two": True, "Three": True}
    assert second.artifacts == first.artifacts
    assert second.digests == first.digests
    assert [s.metrics for s in second.steps] == [s.metrics for s in first.steps]
    assert [p.name for p in (root.folder / "try" / "runs").iterdir()] == ["000001"]
    assert [c.state for c in root.rows(Context)] == ["complete", "complete"]
    assert [e.state for e in root.rows(Execution)] == ["complete"] * 3 + ["cached"] * 3


def test_a_changed_step_runs_again_with_what_follows_it_alone(root):
    root.run(*chain())
    assert hits(root.run(*chain(second="2"))) == {"One": True, "Two": False, "Three": False}
    assert hits(root.run(*chain(third="3"))) == {"One": True, "Two": True, "Three": False}
    # What was made long ago is found as well as what was made last.
    assert hits(root.run(*chain())) == {"One": True, "Two": True, "Three": True}


def test_steps_with_the_same_key_make_the_same_whichever_is_found(root):
    def twins() -> list[Component]:
        one, other = (Judge(StepParameters(text="good"), id) for id in ("One", "Other"))
        return [one, other, Write(None, "Reads", examples=one.outputs["examples"])]

    made = root.run(*twins())
    assert made.digests["One.examples"] == made.digests["Other.examples"]
    assert all(hits(root.run(*twins())).values())


def test_a_step_that_follows_a_refusal_is_refused_again(root):
    def judged() -> list[Component]:
        return [Judge(StepParameters(text="bad")), Release()]

    assert root.run(*judged()).refused
    again = root.run(*judged())
    assert again.refused
    assert hits(again) == {"Judge": True}


@pytest.mark.parametrize("damage", ["changed", "added", "removed", "gone"])
def test_a_damaged_artifact_is_made_anew_and_said_so(root, damage):
    made = root.run(*chain())
    folder = made.artifacts["Two.examples"]
    match damage:
        case "changed":
            (folder / "text").write_text("toe")
        case "added":
            (folder / "more").write_text("more")
        case "removed":
            (folder / "text").unlink()
        case "gone":
            shutil.rmtree(folder)
    again = root.run(*chain())
    assert hits(again) == {"One": True, "Two": False, "Three": True}
    assert again.digests == made.digests
    assert (again.artifacts["Two.examples"] / "text").read_text() == "two"
    (said,) = root.view.warnings
    assert "Two runs again" in said
    assert str(folder) in said


def test_decay_that_no_time_stamp_shows_is_found_when_the_artifact_is_read(root, monkeypatch):
    monkeypatch.setattr(digests, "_SETTLED_NS", 0)
    made = root.run(*chain())
    root.run(*chain())  # remembers the digests
    text = made.artifacts["Two.examples"] / "text"
    text.write_text("toe")
    for place in (root.folder / ".memory").glob("*.json"):
        known = json.loads(place.read_text())
        if "text" in known and known["text"][0][3] == text.stat().st_ino:
            status = text.stat()
            known["text"][0][1:3] = status.st_mtime_ns, status.st_ctime_ns
            place.write_text(json.dumps(known))
    assert all(hits(root.run(*chain())).values())
    again = root.run(*chain(third="3"))
    assert hits(again) == {"One": True, "Two": False, "Three": False}
    assert (again.artifacts["Two.examples"] / "text").read_text() == "two"
    assert any("Two runs again" in said for said in root.view.warnings)


def test_a_step_whose_work_outside_is_gone_does_it_again(root, tmp_path):
    place = tmp_path / "published"
    assert hits(root.run(Publish(StepParameters(text=str(place))))) == {"Publish": False}
    assert hits(root.run(Publish(StepParameters(text=str(place))))) == {"Publish": True}
    place.unlink()
    assert hits(root.run(Publish(StepParameters(text=str(place))))) == {"Publish": False}
    assert place.exists()
    assert "no longer stands" in root.view.warnings[-1]


def test_recordings_from_outside_count_by_their_content(root, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.wav").write_text("sound")

    def reading() -> Component:
        return Write(None, recordings=Channel(RECORDINGS, path=data))

    assert hits(root.run(reading())) == {"Write": False}
    assert hits(root.run(reading())) == {"Write": True}
    os.utime(data / "a.wav")
    assert hits(root.run(reading())) == {"Write": True}
    (data / "b.wav").write_text("more")
    assert hits(root.run(reading())) == {"Write": False}
    (data / "b.wav").unlink()
    assert hits(root.run(reading())) == {"Write": True}


def test_recordings_that_change_while_they_are_read_are_no_result(root, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.wav").write_text("sound")
    root.view.meanwhile = lambda: (data / "late.wav").write_text("late")
    with pytest.raises(UserError, match=r"data: files came or changed while Write read them"):
        root.run(Write(None, recordings=Channel(RECORDINGS, path=data)))
    assert [e.state for e in root.rows(Execution)] == ["failed"]
    result = root.run(Write(None, recordings=Channel(RECORDINGS, path=data)))
    assert hits(result) == {"Write": False}


def looking_back(text: str) -> list[Component]:
    write = Write(StepParameters(text=text))
    earlier = Channel(EXAMPLES, history=History(differs="examples"))
    return [write, LookBack(examples=write.outputs["examples"], earlier=earlier)]


def saw(result: RunResult) -> str:
    return (result.artifacts["LookBack.model"] / "earlier").read_text()


def test_a_step_looks_back_at_the_last_run_that_was_another(root):
    assert saw(root.run(*looking_back("a"))) == "nothing"
    unchanged = root.run(*looking_back("a"))
    assert hits(unchanged) == {"Write": True, "LookBack": True}
    assert saw(root.run(*looking_back("b"))) == "a"
    unchanged = root.run(*looking_back("b"))
    assert hits(unchanged) == {"Write": True, "LookBack": True}
    returned = root.run(*looking_back("a"))
    assert saw(returned) == "b"
    assert hits(returned) == {"Write": True, "LookBack": False}


def test_what_is_looked_back_at_must_be_what_it_was(root):
    made = root.run(*looking_back("a"))
    (made.artifacts["Write.examples"] / "text").write_text("forged")
    with pytest.raises(UserError, match="is not what it was"):
        root.run(*looking_back("b"))


def test_an_interrupted_step_goes_on_from_its_checkpoint(root):
    def counting() -> Component:
        return Continue(StepParameters(text="12"))

    for _ in "12":
        with pytest.raises(StepCrashed):
            root.run(counting())
        (partial,) = (root.folder / "try" / "partial").iterdir()
        assert (partial / "model" / CHECKPOINT).is_dir()
    result = root.run(counting())
    assert sorted(p.name for p in result.artifacts["Continue.model"].iterdir()) == [
        "counted",
        "lineage.json",
    ]
    assert not (root.folder / "try" / "partial").exists()


def test_a_checkpoint_of_other_parameters_is_not_gone_on_from(root):
    with pytest.raises(StepCrashed):
        root.run(Continue(StepParameters(text="2")))
    with pytest.raises(StepCrashed):
        root.run(Continue(StepParameters(text="1")))
    assert len(list((root.folder / "try" / "partial").iterdir())) == 2


def test_a_step_may_reuse_its_last_artifact_if_the_inputs_alone_have_changed(root):
    def counting(text: str, dies: str = "") -> list[Component]:
        write = Write(StepParameters(text=text))
        return [write, Continue(StepParameters(text=dies), examples=write.outputs["examples"])]

    def counted(result: RunResult) -> str:
        return (result.artifacts["Continue.model"] / "counted").read_text()

    assert counted(root.run(*counting("a"))) == "123"
    second = root.run(*counting("b"))
    assert counted(second) == "123 then 123"
    (second.artifacts["Continue.model"] / "counted").write_text("forged")
    assert counted(root.run(*counting("c"))) == "123"
    assert counted(root.run(*counting("d", dies="4"))) == "123"


def test_what_a_dead_run_left_unrecorded_is_swept(root):
    made = root.run(*chain())
    store = LineageStore.at(root.folder)
    dead = store.begin_run("try", {})
    store.close()
    left = root.folder / "try" / "runs" / f"{dead:06d}" / "Two" / "examples"
    left.mkdir(parents=True)
    (left / "text").write_text("unrecorded")
    half = root.folder / "try" / "partial" / "Two-0123456789abcdef" / "examples"
    half.mkdir(parents=True)
    (half / "text").write_text("half")
    again = root.run(*chain())
    assert again.digests == made.digests
    assert not left.exists()
    assert not half.exists()
    assert [c.state for c in root.rows(Context)] == ["complete", "interrupted", "complete"]
