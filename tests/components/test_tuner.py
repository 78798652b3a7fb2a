"""The search: its space, who is stopped, what is worth having, and a study that goes on."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import read_json
from components.base import UserError
from components.models.catalogue import ARCHITECTURES
from components.tuner.component import CandidateParameters
from components.tuner.outcome import Costs, Finished, Outcome, Rival, beaten_by, choose, front
from components.tuner.space import DEPTHS, FIRST_WIDTHS, GROWTHS, WIDTH_STEP, Proposal, known
from components.tuner.study import Study
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import write_features

slow = pytest.mark.slow

NAMES = ("ds_cnn", "tc_resnet")
SMALL = Costs(bytes=10, macs=10, arena_bytes=10)


def complete(accuracy: float, *costs: int, curve: tuple[float, ...] = (0.5, 0.8)) -> Outcome:
    named = Costs(bytes=costs[0], macs=costs[1], arena_bytes=costs[2])
    return Outcome(state="complete", accuracy=accuracy, accuracies=curve, costs=named)


def finished(number: int, outcome: Outcome) -> Finished:
    return Finished(number=number, architecture="ds_cnn", widths=(number,), outcome=outcome)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_point_of_the_space_has_widths_that_its_architecture_takes(name):
    rules = ARCHITECTURES[name]
    widths = range(FIRST_WIDTHS[0], FIRST_WIDTHS[1] + 1, WIDTH_STEP)
    for depth, width, growth in itertools.product(range(DEPTHS[0], DEPTHS[1] + 1), widths, GROWTHS):
        found = Proposal(architecture=name, depth=depth, width=width, growth=growth).widths
        assert len(found) == depth
        assert all(w > 0 and w % rules.multiple == 0 for w in found)
        assert list(found) == sorted(found)
        if rules.rising:
            assert len(set(found)) == depth


@slow
@with_tensorflow
def test_the_rules_of_widths_are_those_that_the_builders_hold():
    from components.models.registry import build

    for name, rules in ARCHITECTURES.items():
        if rules.multiple > 1:
            with pytest.raises(UserError, match=f"multiples of {rules.multiple}"):
                build(name, 49, 40, 4, (rules.multiple + 2,))
        if rules.rising:
            with pytest.raises(UserError, match="rising"):
                build(name, 49, 40, 4, (rules.multiple, rules.multiple))


def test_it_begins_with_the_known_architectures_and_the_recipes_own_before_them():
    seeds = known(ARCHITECTURES, "streaming_resnet")
    assert seeds[0].architecture == "streaming_resnet"
    assert sorted(p.architecture for p in seeds) == sorted(ARCHITECTURES)
    assert {p.widths for p in seeds} == {(16, 32)}


def test_it_is_beaten_only_by_one_that_takes_no_more_and_is_well_ahead_at_the_same_epoch():
    rival = Rival(costs=SMALL, accuracies=(0.6, 0.8, 0.9))
    larger = dataclasses.replace(SMALL, macs=11)
    assert beaten_by(larger, [0.5, 0.74], [rival], 0.05) is rival
    assert beaten_by(SMALL, [0.5, 0.74], [rival], 0.05) is rival
    assert beaten_by(larger, [0.5, 0.76], [rival], 0.05) is None
    assert beaten_by(larger, [0.54], [rival], 0.05) is rival
    smaller = dataclasses.replace(larger, arena_bytes=9)
    assert beaten_by(smaller, [0.1, 0.1], [rival], 0.05) is None
    shorter = dataclasses.replace(rival, accuracies=(0.6,))
    assert beaten_by(larger, [0.5, 0.1], [shorter], 0.05) is None


def test_the_front_is_what_nothing_betters_and_the_choice_is_small_and_good():
    trials = [
        finished(0, complete(0.80, 10, 10, 10)),
        finished(1, complete(0.80, 10, 10, 11)),  # as good, and takes more
        finished(2, complete(0.90, 30, 10, 10)),
        finished(3, complete(0.895, 20, 20, 20)),  # within a point of the best, and smaller
        finished(4, complete(0.70, 9, 99, 99)),
        finished(5, Outcome(state="beaten", costs=SMALL, accuracies=(0.1,))),
        finished(6, Outcome(state="unfit")),
    ]
    assert [t.number for t in front(trials)] == [0, 2, 3, 4]
    chosen = choose(trials)
    assert chosen is not None
    assert chosen.number == 3
    assert choose(trials[5:]) is None


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 0.6, 0.7]), *[st.integers(1, 4)] * 3),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_is_not_on_the_front_is_bettered_by_something_on_it(points):
    trials = [finished(n, complete(a, *costs)) for n, (a, *costs) in enumerate(points)]
    worth = front(trials)
    assert worth

    def no_worse(one: Outcome, other: Outcome) -> bool:
        assert one.costs is not None
        assert other.costs is not None
        return one.accuracy >= other.accuracy and one.costs.within(other.costs)  # type: ignore[operator]

    for trial in trials:
        assert any(no_worse(w.outcome, trial.outcome) for w in worth)
    for one, other in itertools.permutations(worth, 2):
        same = one.outcome == other.outcome
        assert same or not no_worse(one.outcome, other.outcome)


def open_study(folder: Path, names: tuple[str, ...] = NAMES, name: str = "data") -> Study:
    return Study(folder / "study.db", name, names, "tc_resnet", seed=1)


def test_a_study_goes_on_where_it_was(tmp_path):
    study = open_study(tmp_path)
    number, first = study.ask()
    assert first == known(NAMES, "tc_resnet")[0]
    study.tell(number, complete(0.8, 1, 2, 3))
    number, _under_way = study.ask()  # killed here

    study = open_study(tmp_path)
    assert [(t.architecture, t.outcome) for t in study.finished()] == [
        ("tc_resnet", complete(0.8, 1, 2, 3))
    ]
    assert study.rivals() == (
        Rival(costs=Costs(bytes=1, macs=2, arena_bytes=3), accuracies=(0.5, 0.8)),
    )
    again = {study.ask()[1].architecture for _ in range(2)}
    assert (
        "ds_cnn" in again
    )  # what was under way, beside new proposals; no seed is lost or repeated
    assert open_study(tmp_path, name="other data").finished() == []


def test_what_was_given_up_is_tried_first(tmp_path):
    study = open_study(tmp_path)
    for _ in NAMES:
        number, _ = study.ask()
        study.tell(number, Outcome(state="unfit"))
    number, proposal = study.ask()
    study.again(number, proposal)
    assert study.ask()[1] == proposal


def test_proposals_learn_to_stay_within_the_limits_and_repeat_nothing_when_it_goes_on(tmp_path):
    def outcome(p: Proposal) -> Outcome:
        """Wide networks are too large; of the others the wider is the better."""
        size = sum(p.widths)
        if size > 60:
            return Outcome(state="too_large", costs=Costs(bytes=size, macs=size, arena_bytes=size))
        return complete(size / 100, size, size, size)

    early, late = [], []
    for trial in range(30):
        if trial % 10 == 0:
            study = open_study(tmp_path)
        number, proposal = study.ask()
        found = outcome(proposal)
        (early if trial < 15 else late).append(found.state == "too_large")
        earlier = study.earlier(proposal)
        study.tell(number, found, repeats=None if earlier is None else earlier.number)
    assert np.mean(late) < np.mean(early)
    networks = [(t.architecture, t.widths) for t in study.finished()]
    assert len(networks) == len(set(networks)) > 20
    assert len(front(study.finished())) > 3


def test_a_file_that_holds_no_study_is_refused_by_name(tmp_path):
    (tmp_path / "study.db").write_text("no database" * 100)
    with pytest.raises(UserError, match=r"study.db: no study can be kept there .*: move it away"):
        open_study(tmp_path)


SHORT: dict[str, Any] = {
    "architecture": "ds_cnn",
    "widths": (4,),
    "examples_per_epoch": 160,
    "batch": 32,
    "epochs": 2,
    "learning_rate": 0.01,
    "ema": 0.8,
    "threads": THREADS,
}


def tried(folder: Path, **parameters: Any) -> Outcome:
    from components.tuner.executor import execute

    output = folder / f"trial{len(list(folder.iterdir()))}"
    output.mkdir()
    wished = CandidateParameters(**{**SHORT, **parameters})
    assert execute({"features": folder / "features"}, {"trial": output}, wished) == {}
    assert isinstance(read_json(output / "trial.json"), dict)
    return Outcome.read(output)


@slow
@with_tensorflow
def test_a_candidate_is_measured_then_trained_unless_that_is_in_vain(tmp_path: Path):
    write_features(tmp_path / "features")
    whole = tried(tmp_path)
    assert whole.state == "complete"
    assert whole.costs is not None
    assert whole.accuracy is not None
    assert 0.0 < whole.accuracy <= 1.0
    assert len(whole.accuracies) == 2
    assert whole.costs.bytes > 1000 < whole.costs.arena_bytes
    assert whole.costs.macs > 1000

    too_large = tried(tmp_path, most_macs=whole.costs.macs - 1)
    assert (too_large.state, too_large.accuracies) == ("too_large", ())
    assert too_large.reason == f"macs {whole.costs.macs:,}, limit {whole.costs.macs - 1:,}"

    better = Rival(costs=Costs(bytes=1, macs=1, arena_bytes=1), accuracies=(2.0, 2.0))
    beaten = tried(tmp_path, rivals=(better,))
    assert (beaten.state, beaten.accuracies) == ("beaten", whole.accuracies[:1])
    assert "after 1 of 2 epochs, where one that takes no more had 2.000" in beaten.reason
    assert (
        tried(tmp_path, rivals=(better,), grace=1).state == "complete"
    )  # the last is never stopped

    unfit = tried(tmp_path, architecture="streaming_resnet", widths=(4, 4, 4, 4))
    assert (unfit.state, unfit.costs) == ("unfit", None)
    assert "streaming_resnet does not fit" in unfit.reason
