"""Senses among the channels of one network: better together than each alone, and alive with one missing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.anomaly_network.component import AnomalyNetworkTrainerParameters
from components.anomaly_trainer.candidates import TrainedNetwork, candidates
from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.executor import execute as compare
from components.artifacts import read_json
from components.base import UserError
from components.series_example_gen.component import SeriesExampleGenParameters
from components.series_transform.component import SeriesTransformParameters
from components.series_transform.preprocessing import read_preprocessing
from components.series_transform.senses import senses_of
from edge_agent.anomaly.metrics import roc_auc
from edge_agent.anomaly.rows import Rows
from edge_agent.anomaly.scoring import Scored, Scorer
from tests.fixtures.apart import with_tensorflow
from tests.fixtures.machine_logs import as_series, transformed

VIBRATION, PROCESS = ("shaking_x", "shaking_y"), ("flow", "pressure", "power")
CHANNELS = (*VIBRATION, *PROCESS)
WARM_UP, ROWS, FAULT_ROWS = 400, 1200, 100
BEARING, VALVE, SLIP = slice(500, 600), slice(750, 850), slice(1000, 1100)
FAULTS = (BEARING, VALVE, SLIP)
SILENT_SINCE = (0, WARM_UP, WARM_UP + 10, WARM_UP + 30)


def machine(seed: int, *, faulty: bool = True) -> Rows:
    """Everything goes with the load. A bearing shakes in one direction more than in the other, a valve gives
    less flow at the same pressure; where the shaft slips, vibration goes with another load than the process.
    """
    random = np.random.default_rng(seed)
    time = np.arange(ROWS)

    def load(phase: float) -> npt.NDArray[np.float64]:
        return np.asarray(np.sin(time / 9 + phase) + 0.4 * np.sin(time / 23 + 2 * phase))

    driven, shaken = load(seed), load(seed)
    flow, shaking = driven.copy(), np.zeros(ROWS)
    if faulty:
        shaken[SLIP] = load(seed + 2.0)[SLIP]
        flow[VALVE] -= 1.5
        shaking[BEARING] = 1.0
    clean = np.stack(
        [shaken + shaking, shaken - shaking, flow, driven + 0.3 * driven**2, 1.5 * driven], axis=1
    )
    return clean + random.normal(0.0, 0.15, clean.shape)


def write_logs(folder: Path) -> Path:
    folder.mkdir()
    labels = np.zeros(ROWS, int)
    for fault in FAULTS:
        labels[fault] = 1
    for seed in (1, 2):
        rows = np.column_stack([machine(seed), labels])
        names = ",".join((*CHANNELS, "anomaly"))
        np.savetxt(folder / f"{seed}.csv", rows, "%.5f", ",", header=names, comments="")
    return folder


def features_of(
    logs: Path, into: Path, channels: tuple[str, ...], senses: tuple[tuple[str, ...], ...]
) -> dict[str, Path]:
    series = as_series(logs, into, SeriesExampleGenParameters(channels=channels))
    return transformed(
        series, into, SeriesTransformParameters(wandering_limit=0.0, window=4, senses=senses)
    )


@with_tensorflow
def train(features: Path, into: Path) -> None:
    """The recipe's steps from features to an int8 network."""
    from components.anomaly_network.executor import execute as network
    from components.converter.component import ConverterParameters
    from components.converter.executor import execute as convert

    for name in ("float", "int8"):
        (into / name).mkdir()
    parameters = AnomalyNetworkTrainerParameters(widths=(32, 6), epochs=30)
    network({"features": features}, {"model": into / "float"}, parameters)
    sources = {"features": features, "model": into / "float"}
    convert(sources, {"model": into / "int8"}, ConverterParameters())


def device(features: Path, into: Path, *, hold_rows: int | None) -> Scorer:
    """What the agent scores with: the bundle's settings around the int8 network."""
    trained = TrainedNetwork(
        float_model=into / "float" / "model.h5",
        model=into / "int8" / "model.tflite",
        conversion={},
        infra={},
        gates=(),
    )
    known = candidates(
        AnomalyTrainerParameters(smoothing=0.2),
        read_preprocessing(features),
        WARM_UP,
        {"dense_autoencoder": trained},
    )
    # A recipe chooses how far the threshold lies above what a few cycles of warm-up say.
    taken = known["dense_autoencoder"].stretched(1.3)
    assert taken.scoring.hold_rows == (None if read_preprocessing(features).senses is None else 8)
    senses = None if hold_rows is None else taken.scoring.senses
    scoring = dataclasses.replace(taken.scoring, hold_rows=hold_rows, senses=senses)
    return dataclasses.replace(taken, scoring=scoring).scorer()


def scored(scorer: Scorer, rows: Rows) -> Scored:
    scorer.restart()
    return scorer.process(rows)


def auc(scorer: Scorer, rows: Rows, fault: slice) -> float:
    """How well a fault stands out from the rows after the warm-up that are normal."""
    normal = np.ones(ROWS, bool)
    normal[:WARM_UP] = False
    for other in FAULTS:
        # What comes right after a fault still has it in its window and in the smoothing.
        normal[other.start : other.stop + 40] = False
    score = scored(scorer, rows).score
    late = np.zeros(ROWS, bool)
    late[fault.start + 10 : fault.stop] = True
    labels = np.repeat([False, True], [normal.sum(), late.sum()])
    found = roc_auc(np.concatenate([score[normal], score[late]]), labels)
    assert found is not None
    return found


def without(rows: Rows, sense: tuple[str, ...], since: int) -> Rows:
    left = rows.copy()
    left[since:, [CHANNELS.index(channel) for channel in sense]] = np.nan
    return left


@pytest.mark.slow
def test_two_senses_beat_each_alone_and_one_is_enough_to_go_on_in_int8(tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "logs")
    features, scorers = {}, {}
    for name, channels, senses in (
        ("vibration", VIBRATION, ()),
        ("process", PROCESS, ()),
        ("both", CHANNELS, (("shaking_*",), ("*",))),
    ):
        into = tmp_path / name
        features[name] = features_of(logs, into, channels, senses)["features"]
        train(features[name], into)
        scorers[name] = device(features[name], into, hold_rows=8 if senses else None)
        taught = [machine(seed, faulty=False)[:WARM_UP] for seed in (1, 2)]
        places = [CHANNELS.index(channel) for channel in channels]
        scorers[name].learn(np.concatenate(taught)[:, places])
    rows = machine(3)
    parts = {"vibration": rows[:, :2], "process": rows[:, 2:]}
    both = scorers["both"]
    alone = {name: [auc(scorers[name], parts[name], fault) for fault in FAULTS] for name in parts}
    whole = [auc(both, rows, fault) for fault in FAULTS]
    assert min(whole) > 0.9
    # Neither hears what the other does, nor that the shaft slips.
    assert max(*alone["vibration"][1:], *alone["process"][::2]) < 0.75
    assert np.mean(whole) > max(map(np.mean, alone.values())) + 0.2

    holding = device(features["both"], tmp_path / "both", hold_rows=None)
    holding.load(both.parameters())
    healthy = machine(4, faulty=False)
    for gone, left, heard in ((VIBRATION, "process", 1), (PROCESS, "vibration", 0)):
        for since in SILENT_SINCE:
            found = auc(both, without(rows, gone, since), FAULTS[heard])
            assert min(found, alone[left][heard]) > 0.9
            heard_at = slice(FAULTS[heard].start + 10, FAULTS[heard].stop)
            assert scored(both, without(rows, gone, since)).anomaly[heard_at].mean() > 0.8
            quiet = scored(both, without(healthy, gone, since))
            assert quiet.anomaly[WARM_UP:].mean() < 0.02
            assert not {CHANNELS[place] for place in quiet.channel[500:]} & set(gone)
        # What the last value there was would say, held for good beside a machine that goes on.
        alarms = [scored(holding, without(healthy, gone, since)).anomaly for since in SILENT_SINCE]
        assert max(on[WARM_UP:].mean() for on in alarms) > 0.1


@with_tensorflow
def test_a_window_loses_one_sense_or_none_and_what_it_should_give_loses_the_same() -> None:
    from components.training.modality_dropout import drop_senses

    rows, senses = 3000, [[0, 3], [1]]
    seen, wanted = np.ones((rows, 4, 5), np.float32), np.full((rows, 1, 5), 2, np.float32)

    def lost(windows: npt.NDArray[np.float32], share: float, seed: int) -> npt.NDArray[np.bool_]:
        left = drop_senses(windows, senses, share, (seed, 0)).numpy()
        assert ((left == 0) | (left == windows)).all()
        gone = left == 0
        assert (gone.all(axis=1) == gone.any(axis=1)).all()
        by_channel: npt.NDArray[np.bool_] = gone.all(axis=1)
        return by_channel

    gone = lost(seen, 0.4, 1)
    assert np.array_equal(gone, lost(wanted, 0.4, 1))
    assert not np.array_equal(gone, lost(seen, 0.4, 2))
    assert np.array_equal(gone[:, 0], gone[:, 3])
    assert not (gone[:, 0] & gone[:, 1]).any()
    assert gone[:, :2].mean(axis=0) == pytest.approx([0.2, 0.2], abs=0.03)
    assert not gone[:, [2, 4]].any()
    assert not lost(seen, 0.0, 1).any()
    assert lost(seen, 1.0, 1)[:, :2].any(axis=1).all()


def test_senses_are_named_by_channels_by_beginnings_and_as_all_others() -> None:
    assert senses_of((), CHANNELS) is None
    assert senses_of((("shaking_*",), ("*",)), CHANNELS) == ((0, 1), (2, 3, 4))
    some = (("shaking_x",), ("power", "flow"))
    assert senses_of(some, CHANNELS) == ((0,), (2, 4))


@pytest.mark.parametrize(
    ("senses", "told"),
    [
        (
            (("shaking_*",), ("torque",)),
            "torque is no channel; there are shaking_x, shaking_y, flow",
        ),
        ((("shaking_*",), ("flow", "tor*")), r"tor\* is no channel"),
        ((("*",), CHANNELS), r"\* is no channel"),
        ((("shaking_*",), ("shaking_y", "flow")), r"shaking_y is in two senses, shaking_\* and"),
        ((("shaking_*",),), r"one sense alone: name two or more, as in shaking_\*,\*"),
    ],
)
def test_senses_that_there_are_not_are_refused_by_name_before_any_training(
    tmp_path: Path, senses: tuple[tuple[str, ...], ...], told: str
) -> None:
    logs = write_logs(tmp_path / "logs")
    with pytest.raises(UserError, match=told):
        features_of(logs, tmp_path, (), senses)
    with pytest.raises(ValueError, match="must each name a channel"):
        SeriesTransformParameters(senses=((), ("flow",)))
    with pytest.raises(ValueError, match="modality_dropout must be 0 to 1"):
        AnomalyNetworkTrainerParameters(modality_dropout=1.5)


def test_the_evaluation_tells_what_is_left_without_each_sense(tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "logs")

    def evaluated(into: Path, senses: tuple[tuple[str, ...], ...]) -> tuple[Any, Any]:
        made = features_of(logs, into, CHANNELS, senses)
        outputs = {name: into / "judged" / name for name in ("model", "evaluation")}
        for path in outputs.values():
            path.mkdir(parents=True)
        parameters = AnomalyTrainerParameters(compare=("pca",), lags=2, smoothing=0.2)
        compare(made, outputs, parameters)
        found = read_json(outputs["evaluation"] / "evaluation.json")
        return found, read_json(outputs["model"] / "model.json")["scoring"]

    found, scoring = evaluated(tmp_path / "two", (("shaking_*",), ("*",)))
    left = found["without"]
    assert set(left) == {"shaking_x, shaking_y", "flow, pressure, power"}
    assert min(means["roc_auc"] for means in left.values()) > 0.5
    assert max(means["roc_auc"] for means in left.values()) < found["roc_auc"]
    assert scoring["hold_rows"] == 8
    found, scoring = evaluated(tmp_path / "one", ())
    assert found["without"] == {}
    assert scoring["hold_rows"] is None
    features = read_json(tmp_path / "one" / "features" / "features.json")
    assert "senses" not in features["preprocessing"]
