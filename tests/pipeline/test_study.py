"""How a study spends its time: rung by rung, within its budget, and on after a stop; no training."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.base import UserError
from components.models.catalogue import ARCHITECTURES
from pipeline.study.choice import sensitivities
from pipeline.study.ledger import Ledger
from pipeline.study.study import Study
from tests.fixtures.study_world import FEW, TECHNIQUES, TRIED, World, finish, named, study


def test_with_a_limit_the_last_rung_holds_those_that_keep_it(tmp_path: Path):
    free = study(World(), Ledger(tmp_path / "free.json", "a"), 60).all_rungs()
    held = study(World(), Ledger(tmp_path / "held.json", "a"), 60, bytes=12_000.0).all_rungs()
    sizes = [[f.tried[c.key][0].metrics["bytes"] for c in f.final] for f in (free, held)]
    assert max(sizes[0]) > 12_000
    assert max(sizes[1]) <= 12_000
    nobody = study(World(), Ledger(tmp_path / "nobody.json", "a"), 60, bytes=1.0).all_rungs()
    assert nobody.final


@pytest.mark.parametrize(
    ("minutes", "slower", "tried"),
    [
        (15, 1.0, TRIED),
        (15, 3.0, TRIED),
        (60, 1.0, TRIED),
        (60, 1.0, FEW),
        (60, 3.0, TRIED),
        (60, 6.0, FEW),
        (600, 3.0, FEW),
    ],
    ids=lambda value: str(len(value) if isinstance(value, list) else value),
)
def test_the_budget_is_kept_within_a_tenth(tmp_path: Path, minutes: float, slower: float, tried):
    world = World(slower)
    made = study(world, Ledger(tmp_path / "ledger.json", "a"), minutes, tried)
    result, attempts = finish(made, tried)
    assert [a.released for a in attempts] == [True]
    assert 0.9 <= world.now / (60 * minutes) <= 1.1
    assert result.examples["0"] <= result.examples["final"] <= attempts[0].examples
    seeds = {len(result.tried[c.key]) for c in result.final}
    assert min(seeds) >= 3


def test_techniques_come_before_knobs_and_knobs_of_the_better_before_others(tmp_path: Path):
    ledger = Ledger(tmp_path / "l.json", "a")
    result = study(World(), ledger, 60, TRIED).all_rungs()
    assert not [c for c in result.untried if not c.turned]

    def accuracy(technique: str) -> float:
        record = ledger.find(named(technique).key, "0", 1)
        assert record is not None
        return record.metrics["val_accuracy"]

    best = max((c.technique for c in TRIED if not c.turned), key=accuracy)
    turned = [c.technique for c in TRIED if c.turned and c.key in result.tried]
    assert best in turned
    assert 0 < len(turned) < len([c for c in TRIED if c.turned])


def test_what_costs_little_because_others_trained_it_is_tried_where_the_dear_is_not(tmp_path: Path):
    cheap = named("quantisation-aware training")
    dear = named("pruning, distillation, quantisation-aware training")
    tried = [named("streaming_resnet"), dear, cheap]
    made = study(World(slower=3.0), Ledger(tmp_path / "l.json", "a"), 12, tried)
    result = made.all_rungs()
    assert cheap.key in result.tried
    assert result.untried == (dear,)


def test_a_rung_sees_three_times_what_the_one_before_saw(tmp_path: Path):
    result = study(World(), Ledger(tmp_path / "l.json", "a"), 60, TRIED).all_rungs()
    assert result.examples["1"] >= 3 * result.examples["0"]
    assert result.examples["final"] >= 2 * result.examples["1"]


@pytest.mark.parametrize("slower", [1.0, 2.5])
def test_time_that_the_release_left_goes_into_what_there_was_none_for(
    tmp_path: Path, slower: float
):
    def begun() -> Study:
        return study(world, Ledger(tmp_path / "l.json", "a"), 60, TRIED)

    world = World(slower)
    made = begun()
    compared, attempts = finish(made, TRIED)
    assert attempts[-1].released
    spent, runs = world.now, len(world.runs)
    result = made.late(compared)
    assert set(result.tried) > set(compared.tried)
    assert spent < world.now <= 3600.0
    assert result.final == compared.final
    assert {key: result.tried[key] for key in compared.tried} == compared.tried
    ledger = Ledger(tmp_path / "l.json", "a")
    before = [r for r in ledger.records if r.rung != "late"]
    defaults = TECHNIQUES.defaults
    assert len(sensitivities(TRIED, defaults, ledger.records)) > len(
        sensitivities(TRIED, defaults, before)
    )
    late = [run["examples"] for run in world.runs[runs:]]
    assert set(late) == {result.examples["0"]}

    now, made = world.now, begun()
    again, same = finish(made, TRIED)
    assert (again.final, same) == (compared.final, attempts)
    assert made.late(again).tried == result.tried
    assert world.now == now


def test_a_run_that_came_from_the_cache_promises_no_others_of_its_kind(tmp_path: Path):
    world = World(slower=5.0)
    made = study(world, Ledger(tmp_path / "ledger.json", "a"), 6)
    finish(made)
    assert world.now / 360 <= 1.1


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


def test_if_nothing_could_be_trained_the_next_start_tries_again(tmp_path: Path):
    world = World()
    world.breaks = {"streaming_resnet", *ARCHITECTURES}
    with pytest.raises(UserError, match="not one candidate"):
        study(world, Ledger(tmp_path / "l.json", "a"), 60).all_rungs()
    world.breaks = set()
    _, (released,) = finish(study(world, Ledger(tmp_path / "l.json", "a"), 60))
    assert released.released


@pytest.mark.parametrize("stops_before_end", [200, 40, 1])
def test_a_stopped_study_goes_on_to_the_same_end(tmp_path: Path, stops_before_end: int):
    straight, broken = World(), World()
    expected, released = finish(study(straight, Ledger(tmp_path / "a.json", "a"), 60))
    broken.stops_at = max(3, len(straight.runs) - stops_before_end)
    with pytest.raises(KeyboardInterrupt):
        finish(study(broken, Ledger(tmp_path / "b.json", "a"), 60))
    found, again = finish(study(broken, Ledger(tmp_path / "b.json", "a"), 60))
    assert [run for run in broken.runs if run in straight.runs] == broken.runs
    assert found.examples == expected.examples
    assert [c.key for c in found.final] == [c.key for c in expected.final]
    assert [(a.candidate, a.examples) for a in again] == [
        (a.candidate, a.examples) for a in released
    ]
    made = len(broken.runs)
    assert finish(study(broken, Ledger(tmp_path / "b.json", "a"), 60)) == (found, again)
    assert len(broken.runs) == made


def test_a_ledger_of_another_study_or_a_damaged_one_is_begun_anew(tmp_path: Path):
    ledger = Ledger(tmp_path / "l.json", "a")
    ledger.spend(5.0)
    assert Ledger(tmp_path / "l.json", "a").seconds == 5.0
    assert Ledger(tmp_path / "l.json", "b").seconds == 0.0
    (tmp_path / "l.json").write_text((tmp_path / "l.json").read_text()[:-9])
    assert Ledger(tmp_path / "l.json", "a").seconds == 0.0
