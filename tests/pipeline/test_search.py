"""A search for an architecture: it ends at its bounds, goes on when interrupted, and tells its choice."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.base import UserError
from components.tuner.component import Candidate
from components.tuner.outcome import Finished
from pipeline.command_line import parse
from pipeline.commands import tune
from pipeline.lineage.store import LineageStore
from pipeline.recipes import anomaly_detection, keyword_spotting
from pipeline.search import Bounds, Search, searched
from tests.fixtures import candidates


class View:
    """Notes what it is shown; interrupts at progress number `interrupts`."""

    def __init__(self, interrupts: int = 0) -> None:
        self.started: list[tuple[str, int, int]] = []
        self.ended: list[str] = []
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self._interrupts = interrupts

    def step_started(self, id: str, number: int, of: int) -> None:
        self.started.append((id, number, of))

    def step_cached(self, id: str, number: int, of: int) -> None: ...

    def step_progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        self.notes.append(note)
        if len(self.notes) == self._interrupts:
            raise KeyboardInterrupt

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def step_finished(self, id: str, seconds: float, metrics: dict[str, float]) -> None:
        self.ended.append(id)

    def step_failed(self, id: str, message: str) -> None:
        self.ended.append(f"{id}: {message}")


class Clock:
    """A second at each look."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def lock() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Candidate, "EXECUTOR", candidates.EXECUTOR)


def bounds(trials: int, **changes: object) -> Bounds:
    values = {
        "trials": trials,
        "seconds": 0.0,
        "architectures": ("ds_cnn", "tc_resnet"),
        "most_bytes": 0,
        "most_macs": 0,
        "most_arena_bytes": 0,
    }
    return Bounds(**{**values, **changes})


def search(
    root: Path, lock: int, view: View, limits: Bounds, text: str = "features"
) -> list[Finished]:
    trainer, steps = searched(candidates.recipe(text), "Trainer")
    store = LineageStore.at(root)
    try:
        return Search(trainer, steps, root, view, lock, Clock()).run(store, limits)
    finally:
        store.close()


def test_it_tries_what_is_known_first_and_stops_what_falls_behind(tmp_path, lock):
    view = View()
    found = search(tmp_path, lock, view, bounds(3))
    assert [(t.architecture, t.widths) for t in found[:2]] == [
        ("ds_cnn", (16, 32)),
        ("tc_resnet", (16, 32)),
    ]
    assert [t.outcome.state for t in found[:2]] == ["complete", "beaten"]
    assert view.started[1:3] == [("ds_cnn 16,32", 1, 3), ("tc_resnet 16,32", 2, 3)]
    assert "tc_resnet 16,32: beaten: behind" in view.warnings
    # Seconds by the clock above: of three candidates one was half done, and so on.
    assert view.notes[0].endswith("left for all · half way")
    assert len({(t.architecture, t.widths) for t in found}) == 3
    assert not list((tmp_path / "words_search" / "candidates").iterdir())


def test_interrupted_it_goes_on_with_the_same_candidate_and_repeats_none(tmp_path, lock):
    view = View(interrupts=2)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, lock, view, bounds(4))
    assert view.ended[-1] == "tc_resnet 16,32: interrupted"
    again = View()
    found = search(tmp_path, lock, again, bounds(4))
    assert again.started[0] == ("tc_resnet 16,32", 2, 4)
    assert [t.architecture for t in found[:2]] == ["ds_cnn", "tc_resnet"]
    assert len(found) == 4
    assert search(tmp_path, lock, View(), bounds(4)) == found
    assert len(search(tmp_path, lock, View(), bounds(5))) == 5


def test_other_features_are_another_search(tmp_path, lock):
    search(tmp_path, lock, View(), bounds(1))
    view = View()
    search(tmp_path, lock, view, bounds(1), text="other")
    assert ("ds_cnn 16,32", 1, 1) in view.started


def test_time_is_a_bound_too_and_limits_are_handed_on(tmp_path, lock):
    found = search(tmp_path, lock, View(), bounds(50, seconds=12.0, most_bytes=4000))
    assert 1 <= len(found) < 10
    assert found[0].outcome.state == "too_large"


def test_a_search_that_has_tried_everything_ends(tmp_path, lock, monkeypatch):
    monkeypatch.setattr("components.tuner.study.DEPTHS", (1, 1))
    monkeypatch.setattr("components.tuner.study.FIRST_WIDTHS", (8, 12))
    monkeypatch.setattr("components.tuner.study.known", lambda *_: [])
    monkeypatch.setattr("pipeline.search._REPETITIONS", 5)
    found = search(tmp_path, lock, View(), bounds(50, architectures=("ds_cnn",)))
    assert sorted(t.widths for t in found) == [(8,), (12,)]


def test_the_features_are_made_by_the_recipes_own_steps(tmp_path):
    trainer, steps = searched(keyword_spotting.recipe(tmp_path, tmp_path, ()), "Trainer")
    assert trainer.id == "Trainer"
    assert (steps.name, [c.id for c in steps.components]) == (
        "keyword_spotting_search",
        ["ExampleGen", "Transform"],
    )
    with pytest.raises(UserError, match="anomaly_detection trains no network"):
        searched(anomaly_detection.recipe(tmp_path, tmp_path, ()), "Trainer")


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyword_spotting, "recipe", lambda *_: candidates.recipe())


def run(root: Path, *arguments: str) -> int:
    command = ["pipeline", "tune", "keyword_spotting", "--root", str(root), *arguments]
    return tune.run(parse(command))


def test_it_ends_with_the_front_and_the_settings_of_the_choice(tmp_path, words, capsys):
    assert run(tmp_path, "--trials", "3", "--architectures", "ds_cnn") == 0
    said = capsys.readouterr().out
    assert "3 candidates: 3 trained" in said
    assert "--set Trainer.architecture=ds_cnn\n" in said
    assert run(tmp_path, "--trials", "3", "--architectures", "ds_cnn", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "words_search" / "search.json").read_text())
    (chosen,) = (t for t in told["trials"] if t["number"] == told["chosen"])
    assert told["settings"] == [
        "Trainer.architecture=ds_cnn",
        f"Trainer.widths={','.join(map(str, chosen['widths']))}",
    ]
    assert told["chosen"] in told["front"]


def test_where_nothing_fits_it_says_so(tmp_path, words, capsys):
    assert run(tmp_path, "--trials", "1", "--most-bytes", "1") == 0
    assert "none was trained to its end: widen the limits" in capsys.readouterr().out


def test_unknown_architectures_are_refused_by_name(tmp_path):
    with pytest.raises(UserError, match="--architectures vgg: take names of bc_resnet"):
        run(tmp_path, "--architectures", "vgg")
    with pytest.raises(SystemExit):
        run(tmp_path, "--trials", "0")
