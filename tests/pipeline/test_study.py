"""The compression study: what it tries, how it spends its time, and what it chooses; no training."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from components.base import UserError
from components.models.catalogue import ARCHITECTURES
from pipeline.command_line import parse
from pipeline.recipe import apply_settings, demand_fit
from pipeline.recipes.compression_study import recipe as whole
from pipeline.study import budget
from pipeline.study.budget import Timed
from pipeline.study.choice import choose, rows, sensitivities
from pipeline.study.front import Point, dominates, front, halved, ranked, spread
from pipeline.study.ledger import Ledger, Record
from pipeline.study.page import write_study
from pipeline.study.study import Ran, Study
from pipeline.study.techniques import (
    Candidate,
    candidates,
    fidelity_settings,
    read_techniques,
)
from pipeline.study.wiring import Source, wire

TECHNIQUES = read_techniques()
TRIED = candidates(TECHNIQUES.technique)
FEW = candidates(TECHNIQUES.technique[:5])


def point(name: str, accuracy: float, **costs: float) -> Point:
    return Point(name=name, accuracy=accuracy, costs=costs)


class World:
    """Stands in for the runner: time passes, and accuracy follows from settings and examples."""

    def __init__(self, per_example: float = 0.0004, overhead: float = 20.0) -> None:
        self.now = 0.0
        self.runs: list[dict] = []
        self.breaks: set[str] = set()
        self.stops_at = -1
        self._per_example, self._overhead = per_example, overhead
        self._cache: set[str] = set()

    def clock(self) -> float:
        return self.now

    def run(self, recipe) -> Ran:
        if len(self.runs) == self.stops_at:
            self.stops_at = -1
            raise KeyboardInterrupt
        by_id = {c.id: c.parameters for c in recipe.components}
        if "Trainer" not in by_id:
            self.now += 90.0
            self.runs.append({"prepared": True})
            return Ran(steps=4, metrics={})
        trainer = by_id["Trainer"]
        examples = trainer.epochs * trainer.examples_per_epoch
        width = sum(trainer.widths)
        key = repr({id_: p for id_, p in by_id.items() if id_ != "InfraValidator"})
        if key not in self._cache:
            self.now += self._overhead + self._per_example * examples * (1 + width / 100)
        self._cache.add(key)
        self.now += 30.0 if "InfraValidator" in by_id else 0.0
        self.runs.append(
            {"architecture": trainer.architecture, "examples": examples, "seed": trainer.seed,
             "ids": set(by_id)}
        )  # fmt: skip
        if trainer.architecture in self.breaks:
            raise UserError(f"{trainer.architecture} does not fit")
        wobble = int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) / 65535
        accuracy = 0.9 - 3000.0 / (examples + 5000) - 2.0 / width + 0.02 * wobble
        metrics = {
            "Converter": {
                "bytes": 300.0 * width,
                "download_bytes": 250.0 * width,
                "macs": 1e4 * width,
            },
            "Screener": {"val_accuracy": accuracy, "test_accuracy": accuracy - 0.01},
        }
        if "InfraValidator" in by_id:
            metrics["InfraValidator"] = {
                "arena_bytes": 20.0 * width, "latency_ms_litert": 0.1, "macs": 1e4 * width,
                "latency_ms_tflite_runtime": 0.5, "vela_cycles": 2e3 * width,
            }  # fmt: skip
        return Ran(steps=len(by_id) - 4, metrics=metrics)


class Quiet:
    def rung(self, title, runs):
        pass

    def ran(self, candidate, record, left_s):
        pass


def study(world: World, ledger: Ledger, minutes: float, tried=FEW, **limits: float) -> Study:
    source = Source(root=Path("root"), data=Path("data"), keywords=())
    return Study(
        tried,
        TECHNIQUES,
        wire=lambda steps, purpose: wire(source, steps, purpose),
        run=world.run,
        ledger=ledger,
        told=Quiet(),
        budget_s=60.0 * minutes,
        limits=limits,
        clock=world.clock,
    )


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
        assert {"Converter", "Screener", "InfraValidator"} < {c.id for c in recipe.components}
    release = [c.id for c in wire(source, technique.steps, "release").components]
    assert release[-5:] == ["Evaluator", "Streamer", "InfraValidator", "Packager", "Pusher"]


def test_the_recipe_by_name_has_every_step():
    ids = [c.id for c in whole(Path("root"), None, ("yes", "no")).components]
    assert ids[0] == "SpeechSynthesizer"
    assert {"Pruner", "Distiller", "Quantizer", "Evaluator", "Packager", "Pusher"} < set(ids)


def test_a_list_with_an_unknown_step_or_no_table_is_refused(tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_text(
        '[shares]\n[[technique]]\nname="a"\nsaves="run-time"\nsettings=[]\nsteps=["Magic"]\n'
    )
    with pytest.raises(UserError, match="a: steps must be some of Pruner"):
        read_techniques(path)
    path.write_text("[[technique]\n")
    with pytest.raises(UserError, match="correct it"):
        read_techniques(path)


def test_a_step_sees_its_share_of_the_examples():
    settings = fidelity_settings({"Trainer": 1.0, "Pruner": 0.25}, ["Trainer", "Pruner"], 40_000)
    assert settings == [
        "Trainer.epochs=5",
        "Trainer.examples_per_epoch=8000",
        "Pruner.epochs=1",
        "Pruner.examples_per_epoch=10000",
    ]


def test_the_front_holds_whom_nobody_beats_in_everything():
    a, b = point("a", 0.9, bytes=20, macs=5), point("b", 0.8, bytes=10, macs=5)
    c, d = point("c", 0.8, bytes=20, macs=9), point("d", 0.8, bytes=10, macs=6)
    assert dominates(a, c)
    assert not dominates(a, b)
    assert not dominates(a, a)
    assert front([c, a, d, b]) == [a, b]
    assert ranked([c, a, d, b], {}) == [a, b, d, c]
    assert ranked([c, a, d, b], {"bytes": 10}) == [b, d, a, c]
    assert [p.name for p in halved([c, a, d, b], 1, {})] == ["a", "b"]
    assert [p.name for p in halved([c, a, d, b], 3, {})] == ["a", "b", "d"]


def test_of_a_long_front_the_ends_are_kept():
    points = [point(str(n), 0.5 + n / 100, bytes=n) for n in range(10)]
    assert [p.name for p in spread(points, 2)] == ["9", "0"]
    assert [p.name for p in spread(points, 3)][2] in ("4", "5")


def test_time_is_predicted_from_what_it_took():
    one = [Timed(examples=8000, seconds=40.0, steps=3)]
    assert budget.predicted(one, 8000) == pytest.approx(42.0)
    assert budget.predicted(one, 80_000) == pytest.approx((24 + 16 * 10) * 1.05)
    two = [*one, Timed(examples=16_000, seconds=50.0, steps=3)]
    assert budget.predicted(two, 80_000) == pytest.approx((50 + 80) * 1.05)
    examples = budget.affordable({"a": two}, 137.0, least=8000, most=10**6)
    assert 78_000 < examples <= 80_400
    assert budget.affordable({"a": two}, 10.0, least=8000, most=10**6) == 0


def test_with_a_limit_the_last_rung_holds_those_that_keep_it(tmp_path: Path):
    free = study(World(), Ledger(tmp_path / "free.json", "a"), 60).all_rungs()
    held = study(World(), Ledger(tmp_path / "held.json", "a"), 60, bytes=12_000.0).all_rungs()
    sizes = [[f.tried[c.key][0].metrics["bytes"] for c in f.final] for f in (free, held)]
    assert max(sizes[0]) > 12_000
    assert max(sizes[1]) <= 12_000
    nobody = study(World(), Ledger(tmp_path / "nobody.json", "a"), 60, bytes=1.0).all_rungs()
    assert nobody.final


@pytest.mark.parametrize(("minutes", "speed"), [(15, 0.001), (60, 0.0003), (600, 0.001)])
def test_the_budget_is_kept_within_a_tenth(tmp_path: Path, minutes: float, speed: float):
    world = World(per_example=speed)
    tried = TRIED if minutes == 60 else FEW
    made = study(world, Ledger(tmp_path / "ledger.json", "a"), minutes, tried)
    result = made.all_rungs()
    release = min(240.0, max(60.0, 0.06 * 60 * minutes))
    assert 0.9 <= (world.now + release) / (60 * minutes) <= 1.1
    seeds = {len(result.tried[c.key]) for c in result.final}
    assert min(seeds) >= 3
    assert result.examples["final"] >= result.examples["0"]


def test_a_run_that_came_from_the_cache_promises_no_others_of_its_kind(tmp_path: Path):
    world = World(per_example=0.01)
    result = study(world, Ledger(tmp_path / "ledger.json", "a"), 6).all_rungs()
    assert result.examples["final"] == result.examples["0"]
    assert (world.now + 60) / 360 <= 1.1


def test_a_failing_candidate_costs_only_itself(tmp_path: Path):
    world = World()
    world.breaks = {"ds_cnn"}
    result = study(world, Ledger(tmp_path / "l.json", "a"), 60).all_rungs()
    names = {c.key: c.technique for c in TRIED}
    assert {names[key] for key in result.failed} == {"ds_cnn"}
    assert set(result.failed.values()) == {"ds_cnn does not fit"}
    assert result.final


def test_nothing_that_can_be_trained_is_said_with_the_reason(tmp_path: Path):
    world = World()
    world.breaks = {"streaming_resnet", *ARCHITECTURES}
    with pytest.raises(UserError, match=r"not one candidate could be trained: .*does not fit"):
        study(world, Ledger(tmp_path / "l.json", "a"), 60).all_rungs()


@pytest.mark.parametrize("stops_at", [5, 28])
def test_a_stopped_study_goes_on_to_the_same_end(tmp_path: Path, stops_at: int):
    straight, broken = World(), World()
    expected = study(straight, Ledger(tmp_path / "a.json", "a"), 60).all_rungs()
    broken.stops_at = stops_at
    with pytest.raises(KeyboardInterrupt):
        study(broken, Ledger(tmp_path / "b.json", "a"), 60).all_rungs()
    found = study(broken, Ledger(tmp_path / "b.json", "a"), 60).all_rungs()
    assert broken.runs == straight.runs
    assert found.examples == expected.examples
    assert [c.key for c in found.final] == [c.key for c in expected.final]
    again = study(broken, Ledger(tmp_path / "b.json", "a"), 60).all_rungs()
    assert len(broken.runs) == len(straight.runs)
    assert again == found


def test_a_ledger_of_another_study_or_a_damaged_one_is_begun_anew(tmp_path: Path):
    ledger = Ledger(tmp_path / "l.json", "a")
    ledger.spend(5.0)
    assert Ledger(tmp_path / "l.json", "a").seconds == 5.0
    assert Ledger(tmp_path / "l.json", "b").seconds == 0.0
    (tmp_path / "l.json").write_text((tmp_path / "l.json").read_text()[:-9])
    assert Ledger(tmp_path / "l.json", "a").seconds == 0.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    ledger = Ledger(tmp_path_factory.mktemp("study") / "ledger.json", "a")
    result = study(World(), ledger, 60).all_rungs()
    return result, ledger, rows(FEW, result)


def test_the_table_has_the_final_rung_first_with_its_front_and_spread(finished):
    result, _, table = finished
    final = [row for row in table if row.rung == "final"]
    assert table[: len(final)] == final
    assert len(final) == len(result.final)
    assert any(row.on_front for row in final)
    assert all(row.seeds >= 3 and row.test_range[0] < row.test_range[1] for row in final)
    assert all("arena_bytes" in row.figures for row in final)
    assert not any(row.on_front or "arena_bytes" in row.figures for row in table[len(final) :])


def test_the_choice_is_the_most_accurate_that_keeps_the_limits_and_says_why(finished):
    result, _, table = finished
    free = choose(FEW, result, table, {})
    final = [row for row in table if row.rung == "final"]
    assert free.candidate is not None
    assert free.candidate.key == max(final, key=lambda row: row.val_accuracy).key
    small = min(row.figures["bytes"] for row in final)
    tight = choose(FEW, result, table, {"bytes": small})
    assert tight.candidate is not None
    assert tight.candidate.key == min(final, key=lambda row: row.figures["bytes"]).key
    assert f"keep to bytes at most {small:,.0f}" in tight.reason
    none = choose(FEW, result, table, {"bytes": small - 1})
    assert none.candidate is None
    assert "none of the" in none.reason
    assert "nearest is" in none.reason


def test_each_turned_knob_shows_its_values_with_the_default_first(finished):
    _, ledger, _ = finished
    found = sensitivities(FEW, TECHNIQUES.defaults, ledger.records)
    width = next(s for s in found if (s.technique, s.knob) == ("streaming_resnet", "width"))
    assert [p[0] for p in width.points][:2] == ["16,32", "8,16"]
    assert width.points[1][2] < width.points[0][2]


def test_the_page_the_picture_and_the_figures_are_written(finished, tmp_path: Path):
    result, ledger, table = finished
    choice = choose(FEW, result, table, {"bytes": 20_000})
    write_study(
        tmp_path,
        candidates=FEW,
        result=result,
        table=table,
        sensitivities=sensitivities(FEW, TECHNIQUES.defaults, ledger.records),
        choice=choice,
        seconds=3500.0,
        budget_s=3600.0,
        limits={"bytes": 20_000},
    )
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["choice"]["name"] == choice.candidate.name
    assert len(content["rows"]) == len(table)
    page = (tmp_path / "study.html").read_text()
    assert page.count("<svg") == 1
    assert choice.candidate.name in page
    assert (tmp_path / "study.svg").read_text().startswith("<?xml")


def test_a_candidate_is_named_by_the_knob_that_is_turned():
    plain, turned = (
        Candidate(technique="a", saves="run-time", steps=(), settings=(), turned=t, value="3")
        for t in ("", "width")
    )
    assert (plain.name, turned.name) == ("a", "a, width 3")
    assert dataclasses.replace(plain, settings=("A.b=1",)).key != plain.key
    assert (
        Record(candidate="a", rung="0", seed=1, examples=1, seconds=1.0, steps=1, metrics={}).failed
        == ""
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compression_study", "--seed", "3"], "--seed: compression_study takes several"),
        (["compression_study", "--budget-minutes", "0"], "--budget-minutes must be 1 to"),
        (["compression_study", "--max-bytes", "-5"], "--max-bytes must be above 0"),
        (["compression_study", "--set", "Trainer.epoch=1"], "did you mean epochs"),
        (["keyword_spotting", "--max-bytes", "20000"], "--max-bytes is for compression_study"),
        (["keyword_spotting", "--budget-minutes", "5"], "--budget-minutes is for compression"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_runs(tmp_path, arguments, said):
    asked = parse(["pipeline", "run", *arguments, "--root", str(tmp_path / "root")])
    with pytest.raises(UserError, match=said):
        asked.run(asked)
    assert not (tmp_path / "root").exists()
