"""How a study comes to a release: which candidate is trained at length, and what follows a refusal."""

from __future__ import annotations

from pathlib import Path

from pipeline.commands.study import ran_of
from pipeline.execution import StepCrashed
from pipeline.runner import RunResult, StepResult
from pipeline.study.choice import choose, rows
from pipeline.study.ledger import Ledger, Record, Refusal
from pipeline.study.prices import Planned
from pipeline.study.release import next_attempt
from pipeline.study.study import LONG
from pipeline.study.trials import Ran
from tests.fixtures.study_world import TRIED, World, finish, named, study, trials


def test_an_hour_ends_in_a_release_that_saw_what_the_recipe_shows(tmp_path: Path):
    _, (release,) = finish(study(World(), Ledger(tmp_path / "l.json", "a"), 60, TRIED), TRIED)
    assert release.examples == LONG
    slow = World(slower=5.0)
    result, (release,) = finish(study(slow, Ledger(tmp_path / "m.json", "a"), 60, TRIED), TRIED)
    assert 4 * result.examples["final"] <= release.examples < LONG


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
