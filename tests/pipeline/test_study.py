"""The compression study: what it tries, how it spends its time, and what it chooses; no training."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from components.artifacts import Gate
from components.base import UserError
from components.models.catalogue import ARCHITECTURES
from pipeline.command_line import parse
from pipeline.commands.study import ran_of
from pipeline.execution import StepCrashed
from pipeline.recipe import apply_settings, demand_fit
from pipeline.recipes.compression_study import recipe as whole
from pipeline.runner import RunResult, StepResult
from pipeline.study import budget
from pipeline.study.budget import Timed
from pipeline.study.choice import choose, rows, sensitivities
from pipeline.study.front import Point, dominates, front, promising, ranked, reduced, spread
from pipeline.study.ledger import Ledger, Record, Refusal
from pipeline.study.page import write_study
from pipeline.study.prices import Planned, Prices
from pipeline.study.release import next_attempt
from pipeline.study.study import LONG, Study
from pipeline.study.techniques import (
    Candidate,
    candidates,
    fidelity_settings,
    read_techniques,
)
from pipeline.study.trials import Ran, Trials
from pipeline.study.wiring import Source, wire
from pipeline.ui.study_view import StudyView

TECHNIQUES = read_techniques()
TRIED = candidates(TECHNIQUES.technique)
FEW = candidates(TECHNIQUES.technique[:5])


def point(name: str, accuracy: float, **costs: float) -> Point:
    return Point(name=name, accuracy=accuracy, costs=costs)


class World:
    """Stands in for the runner: time passes, and accuracy follows from settings and examples.

    Steps are cached as the runner's are: by their parameters and all that comes before them. What they
    take is as measured on a machine at rest; on a slower one everything takes as many times longer.
    """

    def __init__(self, slower: float = 1.0) -> None:
        self.now = 0.0
        self.runs: list[dict] = []
        self.breaks: set[str] = set()
        self.stops_at = -1
        self.refuses: Callable[[dict], set[str]] = lambda run: set()
        self.cache: set[str] = set()
        self._slower = slower

    def clock(self) -> float:
        return self.now

    def run(self, recipe) -> Ran:
        if len(self.runs) == self.stops_at:
            self.stops_at = -1
            raise KeyboardInterrupt
        by_id = {c.id: c.parameters for c in recipe.components}
        seconds = {}
        keys: dict[str, str] = {}
        for component in recipe.components:
            before = sorted(keys[c.producer] for c in component.inputs.values() if c.producer)
            parts = repr([type(component).__name__, component.parameters, before])
            keys[component.id] = hashlib.sha256(parts.encode()).hexdigest()
            if keys[component.id] not in self.cache:
                seconds[component.id] = self._cost(component, by_id)
        self.now += sum(seconds.values())
        if "Trainer" in by_id and by_id["Trainer"].architecture in self.breaks:
            raise UserError(f"{by_id['Trainer'].architecture} does not fit")
        self.cache |= set(keys.values())
        if "Trainer" not in by_id:
            self.runs.append({"prepared": True})
            return Ran(seconds=seconds, metrics={})
        trainer = by_id["Trainer"]
        examples = trainer.epochs * trainer.examples_per_epoch
        rounding = getattr(by_id.get("Quantizer"), "epochs", 0)
        width = sum(trainer.widths)
        run = {
            "architecture": trainer.architecture, "examples": examples, "seed": trainer.seed,
            "ids": set(by_id), "rounding": rounding,
        }  # fmt: skip
        self.runs.append(run)
        wobble = int(keys["Converter"][:4], 16) / 65535
        accuracy = 0.9 - 3000.0 / (examples + 5000) - 2.0 / width + 0.02 * wobble
        sizes = {"bytes": 300.0 * width, "download_bytes": 250.0 * width, "macs": 1e4 * width}
        # Of whole windows; those of the form that devices run differ.
        metrics = {
            "Converter": {**sizes, "bytes": 280.0 * width, "macs": 1e5 * width},
            "Streamer": sizes,
            "Screener": {"val_accuracy": accuracy, "test_accuracy": accuracy - 0.01},
        }
        gates: tuple[Gate, ...] = ()
        if "InfraValidator" in by_id:
            metrics["InfraValidator"] = {
                "arena_bytes": 20.0 * width, "latency_ms_litert": 0.1, "macs": 1e4 * width,
                "latency_ms_tflite_runtime": 0.5, "vela_cycles": 2e3 * width,
            }  # fmt: skip
        if "Evaluator" in by_id:
            metrics["Evaluator"] = {"int8_accuracy": accuracy - 0.01, "agreement": 0.98}
            refused = self.refuses(run)
            names = sorted({"int8_agreement", *refused})
            gates = tuple(
                Gate(name=n, value=0.5, limit=0.97, passed=n not in refused, advice="try")
                for n in names
            )
        return Ran(seconds=seconds, metrics=metrics, gates=gates)

    def _cost(self, component, by_id) -> float:
        parameters = component.parameters
        if hasattr(parameters, "examples_per_epoch"):
            widths = by_id[
                "TeacherTrainer" if component.id == "TeacherTrainer" else "Trainer"
            ].widths
            seen = parameters.epochs * parameters.examples_per_epoch
            return self._slower * (4.0 + 0.0003 * seen * (1 + sum(widths) / 100))
        known = {"Transform": 30.0, "Converter": 2.0, "Evaluator": 12.0, "InfraValidator": 5.0}
        return self._slower * known.get(component.id, 1.0)


class Quiet:
    def rung(self, title, runs):
        pass

    def ran(self, candidate, record, left_s):
        pass


def trials(world: World, ledger: Ledger, minutes: float, settings: Sequence[str] = ()) -> Trials:
    source = Source(root=Path("root"), data=Path("data"), keywords=())
    return Trials(
        TECHNIQUES,
        wire=lambda steps, purpose: wire(source, steps, purpose),
        run=world.run,
        ledger=ledger,
        told=Quiet(),
        budget_s=60.0 * minutes,
        settings=settings,
        clock=world.clock,
    )


def study(world: World, ledger: Ledger, minutes: float, tried=FEW, **limits: float) -> Study:
    made = trials(world, ledger, minutes)
    return Study(tried, made, ledger, budget_s=60.0 * minutes, limits=limits, cores=1)


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


def test_the_front_holds_whom_nobody_beats_in_everything():
    a, b = point("a", 0.9, bytes=20, macs=5), point("b", 0.8, bytes=10, macs=5)
    c, d = point("c", 0.8, bytes=20, macs=9), point("d", 0.8, bytes=10, macs=6)
    assert dominates(a, c)
    assert not dominates(a, b)
    assert not dominates(a, a)
    assert front([c, a, d, b]) == [a, b]
    assert ranked([c, a, d, b], {}) == [a, b, d, c]
    assert ranked([c, a, d, b], {"bytes": 10}) == [b, d, a, c]
    assert [p.name for p in reduced([c, a, d, b], 2, 1, {})] == ["a", "b"]
    assert [p.name for p in reduced([c, a, d, b], 4, 3, {})] == ["a", "b", "d"]


def test_what_is_only_small_is_left_behind():
    good, fair, poor = (point(n, a, bytes=9) for n, a in (("g", 0.6), ("f", 0.3), ("p", 0.29)))
    assert promising([poor, good, fair]) == [good, fair]
    assert promising([]) == []


def test_of_a_long_front_the_ends_are_kept():
    points = [point(str(n), 0.5 + n / 100, bytes=n) for n in range(10)]
    assert [p.name for p in spread(points, 2)] == ["9", "0"]
    assert [p.name for p in spread(points, 3)][2] in ("4", "5")


def test_time_is_predicted_from_what_it_took():
    one = [Timed(examples=8000, seconds=40.0)]
    assert budget.predicted(one, 8000) == pytest.approx(42.0)
    start = 40.0 * 16_384 / 24_384  # it takes as long as so many examples
    assert budget.predicted(one, 80_000) == pytest.approx((start + (40 - start) * 10) * 1.05)
    two = [*one, Timed(examples=16_000, seconds=50.0)]
    assert budget.predicted(two, 80_000) == pytest.approx((50 + 80) * 1.05)
    near = [*one, Timed(examples=8800, seconds=80.0)]
    assert budget.predicted(near, 8800) == pytest.approx(84.0)
    assert budget.predicted(near, 88_000) < 80 * 10

    def total(n: int) -> float:
        return budget.predicted(two, n)

    assert 78_000 < budget.affordable(total, 137.0, least=8000, most=10**6) <= 80_400
    assert budget.affordable(total, 10.0, least=8000, most=10**6) == 0


def named(technique: str) -> Candidate:
    return next(c for c in TRIED if c.technique == technique and not c.turned)


def test_what_candidates_share_is_paid_once():
    whole = named("pruning, distillation, quantisation-aware training")
    seconds = {
        "TeacherTrainer": 30.0,
        "Trainer": 20.0,
        "Pruner": 5.0,
        "Distiller": 12.0,
        "Quantizer": 9.0,
    }
    record = Record(
        candidate=whole.key, rung="0", seed=1, examples=8000, seconds=80.0, metrics={},
        step_seconds={**seconds, "Converter": 3.0, "Screener": 1.0},
    )  # fmt: skip
    by_key = {c.key: c for c in TRIED}

    def price(cores: int, *runs: tuple[str, int, int]) -> float:
        planned = [Planned(candidate=named(n), examples=e, seed=s) for n, e, s in runs]
        return Prices(by_key, [record], TECHNIQUES.shares, cores).total(planned)

    # 4 s of the run were none of the training's.
    assert price(1, (whole.technique, 8000, 1)) == pytest.approx(4.0)
    assert price(1, ("streaming_resnet", 8000, 1)) == pytest.approx(4.0)
    anew = price(1, (whole.technique, 8000, 2))
    assert anew == pytest.approx(4.0 + 76.0 * 1.05)
    assert price(1, (whole.technique, 8000, 2), ("streaming_resnet", 8000, 2)) == anew + 4.0
    assert price(2, (whole.technique, 8000, 2)) == pytest.approx(29.0 + 51.0 * 1.05)
    rounded = Planned(candidate=whole, examples=8000, seed=1, rounding=2)
    paid = Prices(by_key, [record], TECHNIQUES.shares, 1).total([rounded])
    assert paid == pytest.approx(4.0 + 9.0 * (16_384 + 3200) / (16_384 + 1600) * 1.05)


def test_what_a_run_takes_beside_training_is_not_learned_from_the_cache():
    whole = named("streaming_resnet")
    timed = Record(
        candidate=whole.key, rung="0", seed=1, examples=8000, seconds=30.0, metrics={},
        step_seconds={"Trainer": 20.0, "Converter": 6.0, "Screener": 4.0},
    )  # fmt: skip
    again = dataclasses.replace(timed, rung="final", seconds=0.2, step_seconds={})
    planned = Planned(candidate=whole, examples=8000, seed=2)
    by_key = {whole.key: whole}
    prices = [
        Prices(by_key, records, TECHNIQUES.shares, 1).total([planned])
        for records in ([timed], [again, timed])
    ]
    assert prices == [pytest.approx(20.0 * 1.05 + 10.0)] * 2


def test_with_a_limit_the_last_rung_holds_those_that_keep_it(tmp_path: Path):
    free = study(World(), Ledger(tmp_path / "free.json", "a"), 60).all_rungs()
    held = study(World(), Ledger(tmp_path / "held.json", "a"), 60, bytes=12_000.0).all_rungs()
    sizes = [[f.tried[c.key][0].metrics["bytes"] for c in f.final] for f in (free, held)]
    assert max(sizes[0]) > 12_000
    assert max(sizes[1]) <= 12_000
    nobody = study(World(), Ledger(tmp_path / "nobody.json", "a"), 60, bytes=1.0).all_rungs()
    assert nobody.final


def finish(made: Study, tried=FEW, **limits: float):
    result = made.all_rungs()
    choice = choose(tried, rows(tried, result), limits)
    return result, made.release(choice.ranked)


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


def test_an_hour_ends_in_a_release_that_saw_what_the_recipe_shows(tmp_path: Path):
    _, (release,) = finish(study(World(), Ledger(tmp_path / "l.json", "a"), 60, TRIED), TRIED)
    assert release.examples == LONG
    slow = World(slower=5.0)
    result, (release,) = finish(study(slow, Ledger(tmp_path / "m.json", "a"), 60, TRIED), TRIED)
    assert 4 * result.examples["final"] <= release.examples < LONG


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


def refused_release(tmp_path: Path, refuses):
    world = World()
    world.refuses = refuses
    made = study(world, Ledger(tmp_path / "l.json", "a"), 60, TRIED)
    result = made.all_rungs()
    ranked_ = choose(TRIED, rows(TRIED, result), {}).ranked
    return world, result, ranked_, made.release(ranked_)


def test_after_a_refusal_the_next_best_is_tried_and_both_are_told(tmp_path: Path):
    refused: list[str] = []

    def once(run: dict) -> set[str]:
        refused.append("")
        return {"weakest_speaker"} if len(refused) == 1 else set()

    world, result, best, (first, second) = refused_release(tmp_path, once)
    assert [first.candidate, second.candidate] == [c.key for c in best[:2]]
    assert [r.gate for r in first.refusals] == ["weakest_speaker"]
    assert second.released
    assert result.examples["final"] <= second.examples <= first.examples
    assert world.now <= 3600 * 1.1


def test_one_that_is_unlike_its_float_version_is_rounded_for_longer_first():
    whole = named("pruning, distillation, quantisation-aware training")

    def price(planned: Planned) -> float:
        return 100.0

    def attempt(gates: tuple[str, ...], rounding: int = 1, examples: int = LONG) -> Record:
        refusals = tuple(Refusal(gate=g, value=0.96, limit=0.97, advice="") for g in gates)
        return Record(
            candidate=whole.key, rung="release", seed=1, examples=examples, seconds=1.0,
            step_seconds={}, metrics={}, rounding=rounding, refusals=refusals,
        )  # fmt: skip

    def following(*attempts: Record, seconds: float = 1000.0) -> Planned | None:
        return next_attempt(
            [whole, named("ds_cnn")], attempts, seconds, price, least=50_000, most=LONG,
            seeds=lambda candidate: 1,
        )  # fmt: skip

    unlike = attempt(("int8_agreement",))
    again = following(unlike)
    assert again == Planned(candidate=whole, examples=LONG, seed=1, rounding=2)
    other = following(unlike, attempt(("int8_agreement",), rounding=2))
    assert other == Planned(candidate=named("ds_cnn"), examples=LONG, seed=1)
    short = following(attempt(("weakest_label",), examples=100_000))
    assert short == Planned(candidate=whole, examples=LONG, seed=1)
    assert following(attempt(("targets",), examples=100_000)) == Planned(
        candidate=named("ds_cnn"), examples=100_000, seed=1
    )
    assert following(unlike, seconds=99.0) is None
    assert following(attempt(())) is None


def test_what_was_short_of_time_only_is_not_given_up_before_the_time_is(tmp_path: Path):
    world, _, _, attempts = refused_release(tmp_path, lambda run: {"weakest_label"})
    assert len(attempts) >= 2
    assert not any(a.released for a in attempts)
    assert world.now <= 3600 * 1.1


def test_what_grew_beyond_a_limit_is_not_pushed(tmp_path: Path):
    class Growing(World):
        def run(self, recipe) -> Ran:
            ran = super().run(recipe)
            if self.runs[-1].get("examples") == LONG:
                ran.metrics["Streamer"]["bytes"] = 20_001.0
            return ran

    world = Growing(slower=3.0)
    made = study(world, Ledger(tmp_path / "l.json", "a"), 60, bytes=20_000.0)
    _, attempts = finish(made, bytes=20_000.0)
    assert [(r.gate, r.value) for r in attempts[0].refusals] == [("bytes", 20_001.0)]
    long = [run for run in world.runs if run.get("examples") == LONG]
    assert long
    assert not any("Pusher" in run["ids"] for run in long)


def test_limits_are_of_the_form_that_devices_run(tmp_path: Path):
    """Streaming, a network does less work in one inference, and is a larger file."""
    made = study(World(), Ledger(tmp_path / "l.json", "a"), 60, bytes=14_399.0, macs=5e5)
    result, (released,) = finish(made, bytes=14_399.0, macs=5e5)
    assert released.released
    for record in (released, *(r for c in result.final for r in result.tried[c.key])):
        assert record.metrics["bytes"] <= 14_399
        assert record.metrics["macs"] <= 5e5
    assert any(r.metrics["bytes"] == 14_400 for records in result.tried.values() for r in records)


def test_what_the_gates_take_is_screened_in_the_device_s_steps(tmp_path: Path):
    settings = ["Evaluator.hop_frames=6", " Transform.channels=32 ", "Pusher.deltas=1"]
    made = trials(World(), Ledger(tmp_path / "l.json", "a"), 60, settings)
    planned = Planned(candidate=named("ds_cnn"), examples=9000, seed=1)
    by_purpose = [
        {c.id: c.parameters for c in made.recipe(planned, purpose).components}
        for purpose in ("screen", "release")
    ]
    assert [by_id["Transform"].channels for by_id in by_purpose] == [32, 32]
    assert by_purpose[0]["Screener"].hop_frames == 6
    assert by_purpose[1]["Evaluator"].hop_frames == 6


def test_an_arena_that_was_not_measured_is_no_figure(tmp_path: Path):
    (tmp_path / "infra_validation.json").write_text('{"vela": null}')
    steps = (StepResult(id="InfraValidator", seconds=1.0, metrics={"arena_bytes": -1.0}),)
    artifacts = {"InfraValidator.result": tmp_path}
    ran = ran_of(RunResult(run=1, artifacts=artifacts, digests={}, steps=steps, gates=()))
    assert ran.metrics == {"InfraValidator": {}}


class FullDisk(World):
    """Whatever is released fails while the disk is full."""

    full = True

    def run(self, recipe) -> Ran:
        ran = super().run(recipe)
        if self.full and "Pusher" in {c.id for c in recipe.components}:
            raise StepCrashed("Pusher: no space left")
        return ran


def test_what_failed_to_be_released_is_tried_again_by_the_same_command(tmp_path: Path):
    world = FullDisk()
    _, failed = finish(study(world, Ledger(tmp_path / "l.json", "a"), 60))
    assert failed[0].failed == "Pusher: no space left"
    assert not any(a.released for a in failed)
    world.full, before = False, world.now
    _, (released,) = finish(study(world, Ledger(tmp_path / "l.json", "a"), 60))
    assert released.released
    assert (released.candidate, released.examples) == (failed[0].candidate, failed[0].examples)
    assert world.now - before < 60  # all was in the cache
    made = len(world.runs)
    assert finish(study(world, Ledger(tmp_path / "l.json", "a"), 60))[1] == (released,)
    assert len(world.runs) == made


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
    _, _, table = finished
    free = choose(FEW, table, {})
    final = [row for row in table if row.rung == "final"]
    by_accuracy = sorted(final, key=lambda row: -row.val_accuracy)
    assert [c.key for c in free.ranked] == [row.key for row in by_accuracy]
    small = min(row.figures["bytes"] for row in final)
    tight = choose(FEW, table, {"bytes": small})
    assert tight.ranked[0].key == min(final, key=lambda row: row.figures["bytes"]).key
    assert f"keep to bytes at most {small:,.0f}" in tight.reason
    none = choose(FEW, table, {"bytes": small - 1})
    assert none.ranked == ()
    assert "none of the" in none.reason
    assert "nearest is" in none.reason
    unknown = {name: value for name, value in table[0].figures.items() if name != "arena_bytes"}
    row = dataclasses.replace(table[0], figures=unknown)
    dark = choose(FEW, [row], {"arena_bytes": 1e6})
    assert dark.reason.endswith(f"nearest is {row.name} (arena_bytes unknown)")


def test_whom_a_gate_would_hardly_let_through_comes_last(finished):
    _, _, table = finished
    first, second = [row for row in table if row.rung == "final"][:2]
    unlike = dataclasses.replace(first, figures={**first.figures, "agreement": 0.8})
    failing = dataclasses.replace(first, refused=("targets",))
    for doubtful in (unlike, failing):
        choice = choose(FEW, [doubtful, second], {})
        assert [c.key for c in choice.ranked] == [second.key, first.key]
        assert f"hardly let {first.name} through" in choice.reason


def test_each_turned_knob_shows_its_values_with_the_default_first(finished):
    _, ledger, _ = finished
    found = sensitivities(FEW, TECHNIQUES.defaults, ledger.records)
    width = next(s for s in found if (s.technique, s.knob) == ("streaming_resnet", "width"))
    assert [p[0] for p in width.points][:2] == ["16,32", "8,16"]
    assert width.points[1][2] < width.points[0][2]


def test_the_page_the_picture_and_the_figures_are_written(finished, tmp_path: Path):
    result, ledger, table = finished
    choice = choose(FEW, table, {"bytes": 20_000})
    refusal = Refusal(gate="int8_agreement", value=0.96, limit=0.97, advice="round for longer")
    record = next(r for r in ledger.records if r.rung == "measured")
    refused = dataclasses.replace(record, rung="release", refusals=(refusal,))
    released = dataclasses.replace(record, rung="release", rounding=4)
    write_study(
        tmp_path,
        candidates=FEW,
        result=result,
        table=table,
        sensitivities=sensitivities(FEW, TECHNIQUES.defaults, ledger.records),
        choice=choice,
        attempts=(refused, released),
        seconds=3500.0,
        budget_s=3600.0,
        limits={"bytes": 20_000},
    )
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["choice"]["ranked"] == [c.name for c in choice.ranked]
    assert [a["released"] for a in content["release"]] == [False, True]
    assert len(content["rows"]) == len(table)
    page = (tmp_path / "study.html").read_text()
    assert page.count("<svg") == 1
    name = next(c.name for c in FEW if c.key == released.candidate)
    assert f"<strong>Released: {name}.</strong>" in page
    assert choice.ranked[0].name in page
    assert "refused by int8_agreement: 0.96, limit 0.97 (round for longer)" in page
    assert "training with rounding 4 times as long" in page
    assert (tmp_path / "study.svg").read_text().startswith("<?xml")


def test_a_page_without_a_final_candidate_or_a_release_is_whole(finished, tmp_path: Path):
    result, _, table = finished
    early = [row for row in table if row.rung == "0"][:1]
    write_study(
        tmp_path,
        candidates=FEW,
        result=dataclasses.replace(result, final=()),
        table=early,
        sensitivities=[],
        choice=choose(FEW, early, {}),
        attempts=(),
        seconds=60.0,
        budget_s=60.0,
        limits={},
    )
    page = (tmp_path / "study.html").read_text()
    assert "<strong>Nothing is released.</strong>" in page
    assert "no candidate came through the final rung" in page
    assert "What each knob does" not in page
    assert early[0].name in page


def test_a_candidate_is_named_by_the_knob_that_is_turned():
    plain, turned = (
        Candidate(technique="a", saves="run-time", steps=(), settings=(), turned=t, value="3")
        for t in ("", "width")
    )
    assert (plain.name, turned.name) == ("a", "a, width 3")
    assert dataclasses.replace(plain, settings=("A.b=1",)).key != plain.key


def test_a_person_sees_what_is_left_also_while_a_step_is_long():
    now = [0.0]
    said = io.StringIO()
    view = StudyView(said, lambda: now[0])
    refusal = Refusal(gate="int8_agreement", value=0.96, limit=0.97, advice="")
    record = Record(
        candidate="a", rung="release", seed=1, examples=1, seconds=60.0, step_seconds={},
        metrics={"val_accuracy": 0.8, "bytes": 30_000.0}, refusals=(refusal,),
    )  # fmt: skip
    view.ran(named("ds_cnn"), record, 600.0)
    now[0] = 100.0
    view.step_progress("Trainer", 63, 100, "steps", "")
    first, second = said.getvalue().splitlines()
    assert "refused by int8_agreement" in first
    assert "10 min 00 s left" in first
    assert second == "   ... Trainer 63% (8 min 20 s left)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compression_study", "--seed", "3"], "--seed: compression_study takes several"),
        (["compression_study", "--budget-minutes", "0"], "--budget-minutes must be 1 to"),
        (["compression_study", "--max-bytes", "-5"], "--max-bytes must be above 0"),
        (["compression_study", "--set", "Trainer.epoch=1"], "did you mean epochs"),
        (["compression_study", "--set", "Trainer.epochs=1"], "decides itself how much"),
        (["compression_study", "--set", " TeacherTrainer.seed =1"], "decides itself how much"),
        (["keyword_spotting", "--max-bytes", "20000"], "--max-bytes is for compression_study"),
        (["keyword_spotting", "--budget-minutes", "5"], "--budget-minutes is for compression"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_runs(tmp_path, arguments, said):
    asked = parse(["pipeline", "run", *arguments, "--root", str(tmp_path / "root")])
    with pytest.raises(UserError, match=said):
        asked.run(asked)
    assert not (tmp_path / "root").exists()
