"""Channels that fall silent: no alarm of that, and what the others see still alarms."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import edge_agent
from edge_agent.anomaly import normaliser
from edge_agent.anomaly.adaptation import AdaptationSettings
from edge_agent.anomaly.detectors import DetectorSettings
from edge_agent.anomaly.network import NetworkSettings
from edge_agent.anomaly.rows import Rows
from edge_agent.anomaly.scoring import PARTS, Part, Scored, Scorer, ScoringSettings
from edge_agent.anomaly.wandering import WanderingSettings
from edge_agent.bundle import archive
from edge_agent.decoding import encode
from edge_agent.sources.table import Table
from edge_agent.watching.watch import Watch
from tests.fixtures.anomaly_bundles import (
    CHANNELS,
    SETTINGS,
    csv_text,
    machine_rows,
    write_anomaly_bundle,
)

FLOW, PRESSURE, HEAT = range(3)
WARM_UP, SILENT, ROWS = 400, 700, 1600
FAULT = slice(1200, 1250)
HOLDING = dataclasses.replace(SETTINGS, warm_up_rows=WARM_UP, per_machine=PARTS)
GOING_ON = dataclasses.replace(HOLDING, hold_rows=8, senses=((FLOW, PRESSURE), (HEAT,)))


def scorer_of(settings: ScoringSettings) -> Scorer:
    scorer = Scorer(settings)
    scorer.learn(machine_rows(2000))
    return scorer


def failing(seed: int, since: int, *gone: int, until: int = ROWS) -> Rows:
    """A machine whose heat rises in FAULT; the channels in `gone` have no value from `since` on."""
    rows = machine_rows(ROWS, seed=seed)
    rows[FAULT, HEAT] += 8.0
    rows[since:until, list(gone)] = np.nan
    return rows


def assert_the_fault_alone_alarms(found: Scored) -> None:
    before, after = found.anomaly[: FAULT.start], found.anomaly[FAULT.stop + 30 :]
    assert not before.any()
    assert not after.any()
    assert found.anomaly[FAULT.start + 10 : FAULT.stop].all()
    assert (found.channel[FAULT.start + 10 : FAULT.stop] == HEAT).all()


@pytest.mark.parametrize("since", [0, WARM_UP // 2, WARM_UP, SILENT])
def test_a_sense_that_is_missing_raises_nothing_and_the_others_still_do(since: int) -> None:
    found = scorer_of(GOING_ON).process(failing(5, since, FLOW, PRESSURE))
    assert_the_fault_alone_alarms(found)
    assert not set(found.channel[SILENT + 8 :]) & {FLOW, PRESSURE}


def test_what_is_held_for_good_beside_a_machine_that_goes_on_does_alarm() -> None:
    rows = machine_rows(ROWS, seed=7)
    # At the top of its wave.
    rows[710:, FLOW] = np.nan
    assert scorer_of(HOLDING).process(rows).anomaly[710:].mean() > 0.3
    assert not scorer_of(GOING_ON).process(rows).anomaly.any()


def test_a_sense_that_comes_back_is_heard_again_and_alarms_neither_then() -> None:
    rows = failing(6, SILENT, FLOW, PRESSURE, until=900)
    rows[1400:1450, PRESSURE] += 1.0
    found = scorer_of(GOING_ON).process(rows)
    assert not found.anomaly[: FAULT.start].any()
    assert found.anomaly[1410:1450].all()
    assert (found.channel[1410:1450] == PRESSURE).all()


def test_one_that_the_warm_up_never_heard_says_nothing_when_it_comes() -> None:
    rows = failing(7, 0, FLOW, PRESSURE, until=SILENT)
    assert_the_fault_alone_alarms(scorer_of(GOING_ON).process(rows))
    fitted = normaliser.fit(np.array([[np.nan, 1.0], [np.nan, 3.0]]), "moments")
    assert fitted.apply(np.array([[1e6, 4.0]])) == pytest.approx(np.array([[0.0, 2.0]]))


@pytest.mark.parametrize(
    ("parts", "since"),
    [
        (PARTS, WARM_UP // 2),
        # Fifty rows would show no levels and spreads: those are as shipped.
        (("threshold",), WARM_UP - 50),
        (("threshold",), WARM_UP + 100),
        (("normaliser", "threshold"), WARM_UP + 100),
        (PARTS, WARM_UP + 100),
    ],
)
def test_one_that_the_warm_up_hardly_heard_raises_nothing_when_it_is_left_alone(
    parts: tuple[Part, ...], since: int
) -> None:
    rows = machine_rows(ROWS, seed=3)
    rows[:since, [FLOW, PRESSURE]] = np.nan
    rows[1000:, HEAT] = np.nan
    assert (
        not scorer_of(dataclasses.replace(GOING_ON, per_machine=parts)).process(rows).anomaly.any()
    )


def test_a_channel_that_wanders_stands_at_its_own_slow_level_while_it_is_missing() -> None:
    settings = dataclasses.replace(GOING_ON, wandering=WanderingSettings(limit=5.0, alpha=0.02))
    rows = machine_rows(ROWS, seed=8)
    rows[:, HEAT] += np.linspace(0.0, 40.0, ROWS)
    scorer = scorer_of(settings)
    assert scorer.process(rows[:SILENT]).anomaly.sum() == 0
    rows[SILENT : SILENT + 100, HEAT] = np.nan
    assert not scorer.process(rows[SILENT : SILENT + 100]).anomaly.any()


def test_with_all_senses_missing_nothing_is_known_and_nothing_alarms() -> None:
    found = scorer_of(GOING_ON).process(failing(9, SILENT, FLOW, PRESSURE, HEAT))
    assert not found.anomaly.any()
    assert found.score[-1] < 1e-6


def test_adaptation_learns_nothing_of_what_is_held() -> None:
    adapting = AdaptationSettings(period=100, rate=0.5, centre_drift=5.0, scale_drift=5.0)
    settings = dataclasses.replace(GOING_ON, adaptation=adapting, hold_rows=0)
    scorer = scorer_of(settings)
    rows = machine_rows(ROWS, seed=10)
    rows[WARM_UP:, PRESSURE] = np.nan
    scorer.process(rows)
    kept = scorer.kept()
    assert kept is not None
    assert kept["adapted.centre"][PRESSURE] == kept["normaliser.centre"][PRESSURE]
    assert kept["adapted.scale"][PRESSURE] == kept["normaliser.scale"][PRESSURE]
    assert kept["adapted.centre"][FLOW] != kept["normaliser.centre"][FLOW]


def test_adaptation_learns_no_threshold_of_rows_without_any_value() -> None:
    adapting = AdaptationSettings(period=100, rate=0.5, threshold_drift=2.0)
    settings = dataclasses.replace(GOING_ON, adaptation=adapting)
    rows = machine_rows(4000, seed=3)
    rows[1000:3000] = np.nan
    found = scorer_of(settings).process(rows)
    # The first periods still have values, held or smoothed.
    assert found.threshold[2999] == pytest.approx(found.threshold[999], abs=0.3)
    assert found.anomaly[3000:].mean() < 0.01


def test_a_warm_up_without_senses_asks_the_network_no_more_than_before() -> None:
    asked: list[int] = []

    def predict(windows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        asked.append(len(windows))
        return windows.reshape(len(windows), -1) * 0.5

    detectors = DetectorSettings(network=NetworkSettings(window=2))
    settings = dataclasses.replace(HOLDING, detectors=detectors)
    scorer = Scorer(settings, predict)
    scorer.learn(machine_rows(2000))
    asked.clear()
    scorer.process(machine_rows(WARM_UP, seed=12))
    # For its errors, for how they are seen, for the threshold, and for where the stream stands.
    assert sum(asked) <= 4 * WARM_UP


def test_an_agent_that_knows_of_no_senses_finds_the_parts_that_it_keeps_as_ever() -> None:
    known, named = (
        {name for name in scorer_of(settings).parameters() if name.partition(".")[0] in PARTS}
        for settings in (HOLDING, GOING_ON)
    )
    assert known == named


def test_a_stream_goes_on_after_a_restart_in_the_middle_of_a_silence() -> None:
    rows = failing(14, SILENT, FLOW, PRESSURE)
    first, second = scorer_of(GOING_ON), scorer_of(GOING_ON)
    first.process(rows[: SILENT + 100])
    kept = first.kept()
    assert kept is not None
    second.resume(kept)
    ours, theirs = (scorer.process(rows[SILENT + 100 :]) for scorer in (second, first))
    np.testing.assert_allclose(ours.score[60:], theirs.score[60:], rtol=1e-3, atol=1e-3)
    assert ours.anomaly.tolist() == theirs.anomaly.tolist()


def test_settings_without_it_are_written_as_before() -> None:
    assert "hold_rows" not in encode(HOLDING)
    assert encode(GOING_ON)["hold_rows"] == 8
    for rows in (-1, 100_001):
        with pytest.raises(ValueError, match="hold_rows must be 0 to 100000"):
            dataclasses.replace(HOLDING, hold_rows=rows)


@pytest.mark.parametrize("senses", [((0,), ()), ((0, 1), (1, 2)), ((0, 0), (1,)), ((-1,), (0,))])
def test_senses_that_no_recipe_makes_are_refused(senses: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="senses must each have places"):
        dataclasses.replace(GOING_ON, senses=senses)


def test_senses_that_do_not_go_with_the_parameters_are_refused() -> None:
    parameters = scorer_of(GOING_ON).parameters()
    without = parameters["senses.without"]
    for senses in (((0, 1), (3,)), ((0, 1), (2**53,)), ((0,), (1,), (2,))):
        with pytest.raises(ValueError, match="senses and channels do not fit"):
            Scorer(dataclasses.replace(GOING_ON, senses=senses)).load(parameters)
    # Below 0 a share has no logarithm, and one such row would be heard in every score after it.
    for wrong in (-without, without[:1], without[:, :2], without[0]):
        with pytest.raises(ValueError, match="senses and channels do not fit"):
            Scorer(GOING_ON).load(parameters | {"senses.without": wrong})


@pytest.mark.parametrize("settings", [HOLDING, GOING_ON], ids=["held", "gone"])
def test_a_user_is_told_of_a_channel_that_the_warm_up_never_heard(
    tmp_path: Path, settings: ScoringSettings
) -> None:
    bundle = archive.read(write_anomaly_bundle(tmp_path / "pump.bundle", settings))

    def told(rows: Rows, watch: Watch) -> list[str]:
        table = Table(io.BytesIO(csv_text(rows).replace("nan", "").encode()), "made", CHANNELS)
        news = [sentence for block in table.blocks() for sentence in watch.process(block)[1]]
        return [sentence for sentence in news if "cannot alarm" in sentence]

    watch, resumed = Watch(bundle), Watch(bundle)
    assert told(failing(13, 0, FLOW, until=WARM_UP - 1), Watch(bundle)) == []
    assert told(failing(13, 0, FLOW, until=WARM_UP)[: WARM_UP - 1], Watch(bundle)) == []
    found = told(failing(13, 0, FLOW, until=WARM_UP), watch)
    assert found == ["flow: had no value in the normal rows, and cannot alarm until it is in some"]
    kept = watch.kept()
    assert kept is not None
    resumed.resume(kept)
    assert told(failing(13, ROWS), resumed) == found


@pytest.mark.parametrize("how", ["cells", "column"])
def test_the_agent_goes_on_with_empty_cells_and_without_the_column(
    tmp_path: Path, how: str
) -> None:
    bundle = write_anomaly_bundle(tmp_path / "pump.bundle", GOING_ON)
    header, *lines = csv_text(failing(11, ROWS)).strip().split("\n")
    since = SILENT if how == "cells" else 0
    names = header.split(",")
    gone = [names.index("flow"), names.index("pressure")]

    def left(cells: list[str], row: int) -> str:
        if how == "column":
            return ",".join(cell for place, cell in enumerate(cells) if place not in gone)
        return ",".join("" if p in gone and row >= since else c for p, c in enumerate(cells))

    table = [left(names, -1), *(left(line.split(","), row) for row, line in enumerate(lines))]
    command = [sys.executable, "-m", "edge_agent", "score", "--bundle", str(bundle)]
    done = subprocess.run(
        [*command, "--csv", "-", "--json"],
        input="\n".join(table) + "\n",
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(edge_agent.__file__).parents[1],
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    on = np.array([line["anomaly"] for line in found])
    assert len(found) == ROWS
    assert not on[: FAULT.start].any()
    assert on[FAULT.start + 10 : FAULT.stop].all()
    assert {line["channel"] for line in found[FAULT.start + 10 : FAULT.stop]} == {"heat"}
    told = "2 columns missing: flow, pressure" if how == "column" else "is missing, for 8 rows"
    assert told in done.stderr
