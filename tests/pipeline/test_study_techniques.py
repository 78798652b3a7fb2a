"""What a study tries: its list of techniques, their knobs, and what each training step sees."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from components.base import UserError
from pipeline.recipe import apply_settings, demand_fit
from pipeline.recipes.compression_study import recipe as whole
from pipeline.study.study import LONG
from pipeline.study.techniques import (
    Candidate,
    candidates,
    fidelity_settings,
    read_techniques,
)
from pipeline.study.wiring import Source, wire
from tests.fixtures.study_world import TECHNIQUES, TRIED


def test_every_technique_stands_for_itself_before_any_knob_is_turned():
    names = [t.name for t in TECHNIQUES.technique]
    assert [c.technique for c in TRIED[: len(names)]] == names
    assert not any(c.turned for c in TRIED[: len(names)])
    assert all(c.turned for c in TRIED[len(names) :])
    assert len({c.key for c in TRIED}) == len(TRIED)


@pytest.mark.parametrize("technique", TECHNIQUES.technique, ids=lambda t: t.name)
def test_each_technique_has_two_knobs_and_settings_that_its_recipe_takes(technique):
    assert len(technique.knob) == 2
    for candidate in candidates([technique]):
        source = Source(root=Path("root"), data=Path("data"), keywords=())
        recipe = wire(source, candidate.steps, "measure")
        apply_settings(recipe, candidate.settings)
        demand_fit(recipe)
        by_id = {c.id: c for c in recipe.components}
        assert {"Converter", "Screener"} < set(by_id)
        assert by_id["InfraValidator"].inputs["model"].producer == "Streamer"
    release = [c.id for c in wire(source, technique.steps, "release").components]
    assert release[-5:] == ["Evaluator", "Streamer", "InfraValidator", "Packager", "Pusher"]


def test_the_recipe_by_name_has_every_step():
    ids = [c.id for c in whole(Path("root"), None, ("yes", "no")).components]
    assert ids[0] == "SpeechSynthesizer"
    assert {"Pruner", "Distiller", "Quantizer", "Evaluator", "Packager", "Pusher"} < set(ids)


def test_a_list_with_an_unknown_step_or_no_table_is_refused(tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_text(
        SHARES + "Quantizer=0.2\n"
        '[[technique]]\nname="a"\nsaves="run-time"\nsettings=[]\nsteps=["Magic"]\n'
    )
    with pytest.raises(UserError, match="a: steps must be some of Pruner"):
        read_techniques(path)
    path.write_text("[[technique]\n")
    with pytest.raises(UserError, match="correct it"):
        read_techniques(path)


SHARES = "[shares]\nTeacherTrainer=0.6\nTrainer=1.0\nPruner=0.2\nDistiller=0.7\n"


@pytest.mark.parametrize("quantizer", ["", "Quantizer=0.0", "Quantizer=0.2\nOther=1.0"])
def test_a_list_says_what_each_training_step_sees(tmp_path: Path, quantizer: str):
    path = tmp_path / "a.toml"
    path.write_text("technique=[]\n" + SHARES + quantizer)
    with pytest.raises(UserError, match=r"\[shares\]: give Distiller, .* a number above 0 each"):
        read_techniques(path)


def test_a_list_without_a_technique_is_refused(tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_text("technique=[]\n" + SHARES + "Quantizer=0.2\n")
    with pytest.raises(UserError, match="holds no"):
        read_techniques(path)


def test_a_step_sees_its_share_of_the_examples():
    settings = fidelity_settings({"Trainer": 1.0, "Pruner": 0.25}, ["Trainer", "Pruner"], 40_000)
    assert settings == [
        "Trainer.epochs=5",
        "Trainer.examples_per_epoch=8000",
        "Pruner.epochs=1",
        "Pruner.examples_per_epoch=10000",
    ]
    long = fidelity_settings({"Trainer": 1.0}, ["Trainer"], LONG)
    assert long == ["Trainer.epochs=14", "Trainer.examples_per_epoch=32768"]


def test_a_candidate_is_named_by_the_knob_that_is_turned():
    plain, turned = (
        Candidate(technique="a", saves="run-time", steps=(), settings=(), turned=t, value="3")
        for t in ("", "width")
    )
    assert (plain.name, turned.name) == ("a", "a, width 3")
    assert dataclasses.replace(plain, settings=("A.b=1",)).key != plain.key
