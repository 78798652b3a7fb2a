"""Two senses in one network: SKAB's accelerometers and process sensors, alone, both, and one of them missing.

    make bench-fusion                  seeds 0, 1 and 2
    make bench-fusion ARGS="3 4"       other seeds

Networks are made by the recipe's own steps and scored in int8, as a device does it. Widths and share of
dropout are chosen on every second log by the mean ROC-AUC over the seeds; what is published is of the others
and of all. The peer of both senses is the better one alone; of one that is left, the network of it alone.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from components.anomaly_network.component import (
    AnomalyNetworkTrainer,
    AnomalyNetworkTrainerParameters,
)
from components.anomaly_trainer.calibration import choose_stretch, rates
from components.anomaly_trainer.candidates import TrainedNetwork, candidates
from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.evaluation import Outcome, aucs, outcomes
from components.anomaly_trainer.missing_sense import silenced
from components.artifacts import RECORDINGS
from components.base import Channel, Component
from components.converter.component import Converter
from components.series import open_logs, read_series
from components.series_example_gen.component import SeriesExampleGen, SeriesExampleGenParameters
from components.series_transform.component import SeriesTransform, SeriesTransformParameters
from components.series_transform.preprocessing import read_preprocessing
from tests.bench import anomaly_skab
from tests.bench.compression import run
from tests.bench.table import TOP, Figure, data_folder, publish

_VIBRATION = ("Accelerometer1RMS", "Accelerometer2RMS")
_PROCESS = (
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
)
_SENSES = {"accelerometers": _VIBRATION, "process": _PROCESS, "both": (*_VIBRATION, *_PROCESS)}
_WIDTHS: dict[str, tuple[tuple[int, ...], ...]] = {
    "accelerometers": ((24, 6), (12, 3)),
    "process": ((24, 6), (32, 8)),
    "both": ((24, 6),),
}
_SHARES = (0.0, 0.3, 0.6)
# Which sense is missing, and whether from the first row on or from the end of the warm-up on.
_WHOLE = ("", "")
_CASES = (
    _WHOLE,
    *((gone, since) for gone in ("accelerometers", "process") for since in ("start", "warm-up")),
)
Case = tuple[str, str]
_CHOSEN_ON, _OTHER = slice(0, None, 2), slice(1, None, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """One network: the sense that it is of, its widths, the share of dropout, and the seed."""

    sense: str
    widths: tuple[int, ...]
    share: float
    seed: int

    @property
    def name(self) -> str:
        widths = "x".join(map(str, self.widths))
        return f"{self.sense}{widths}Share{round(100 * self.share)}Seed{self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """Means over some logs."""

    auc: float
    false_alarms: float
    missed: float


Cases = dict[Case, list[Outcome]]


def main() -> None:
    """Trains everything, chooses on a half, and publishes the other and all."""
    seeds = [int(text) for text in sys.argv[1:]] or [0, 1, 2]
    networks = [
        Network(sense=sense, widths=widths, share=share, seed=seed)
        for sense, all_widths in _WIDTHS.items()
        for widths in all_widths
        for share in (_SHARES if sense == "both" else (0.0,))
        for seed in seeds
    ]
    scored = _scored(networks)
    alone = {
        sense: _best({n: c for n, c in scored.items() if n.sense == sense})
        for sense in ("accelerometers", "process")
    }
    both = {n: c for n, c in scored.items() if n.sense == "both"}
    fused = {
        "modality dropout": _best({n: c for n, c in both.items() if n.share}),
        "no dropout": _best({n: c for n, c in both.items() if not n.share}),
    }
    for name, taken in {**alone, **fused}.items():
        network = next(iter(taken))
        print(f"taken: {name}: widths {network.widths}, dropout {network.share}")
    peers = {"": "process", "accelerometers": "process", "process": "accelerometers"}
    figures = []
    for how, taken in fused.items():
        for gone, since in _CASES:
            what = f"{gone or 'nothing'} missing{since and f' since the {since}'}"
            for half, which in (("other half", _OTHER), ("all", slice(None))):
                ours = _measured(taken, (gone, since), which)
                peer = _measured(alone[peers[gone]], _WHOLE, which)
                figures += [
                    Figure(
                        figure=f"{how}, {what}, {half}: {field}",
                        ours=round(value, 4),
                        peer=round(getattr(peer, field), 4),
                        unit="",
                    )
                    for field, value in dataclasses.asdict(ours).items()
                ]
    publish("fusion", figures)


def _scored(networks: Sequence[Network]) -> dict[Network, Cases]:
    """Every log by every network, in each case that there is of it."""
    recordings = Channel(RECORDINGS, path=_logs())
    steps: list[Component] = []
    transforms = {}
    for sense, channels in _SENSES.items():
        examples = SeriesExampleGen(
            SeriesExampleGenParameters(channels=channels),
            f"{sense}ExampleGen",
            recordings=recordings,
        )
        senses = (_VIBRATION, _PROCESS) if sense == "both" else ()
        transform = SeriesTransform(
            SeriesTransformParameters(senses=senses),
            f"{sense}Transform",
            series=examples.outputs["series"],
        )
        transforms[sense] = transform
        steps += [examples, transform]
    for network in networks:
        features = transforms[network.sense].outputs["features"]
        trainer = AnomalyNetworkTrainer(
            AnomalyNetworkTrainerParameters(
                widths=network.widths, modality_dropout=network.share, seed=network.seed
            ),
            f"{network.name}Trainer",
            features=features,
        )
        model = trainer.outputs["model"]
        steps += [
            trainer,
            Converter(None, f"{network.name}Converter", features=features, model=model),
        ]
    made = run("bench_fusion", steps).artifacts
    found = {}
    for network in networks:
        found[network] = cases = _cases(network, made)
        told = "  ".join(
            f"{' '.join(case).strip() or 'whole'} {_auc(o[_CHOSEN_ON]):.3f} {_auc(o[_OTHER]):.3f}"
            for case, o in cases.items()
        )
        print(f"{network.name:36} {told}", flush=True)
    return found


def _logs() -> Path:
    """A folder of the experiments that `anomaly_skab` takes, and no others."""
    source, folder = data_folder("skab"), TOP / "var" / "bench" / "fusion_logs"
    for name in anomaly_skab.load(source):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
    return folder


def _cases(network: Network, made: Mapping[str, Path]) -> Cases:
    folder, features = (
        made[f"{network.sense}Transform.{output}"] for output in ("series", "features")
    )
    series = read_series(folder)
    logs = open_logs(folder, series)
    trained = TrainedNetwork(
        float_model=made[f"{network.name}Trainer.model"] / "model.h5",
        model=made[f"{network.name}Converter.model"] / "model.tflite",
        conversion={},
        infra={},
        gates=(),
    )
    known = candidates(
        AnomalyTrainerParameters(),
        read_preprocessing(features),
        series.warm_up_rows,
        {"dense_autoencoder": trained},
    )
    scorer = known["dense_autoencoder"].scorer()
    scorer.learn(np.concatenate([log.teaching() for log in logs]))
    found = {_WHOLE: outcomes(scorer, logs)}
    if network.sense == "both":
        for gone, since in _CASES[1:]:
            places = [series.channels.index(channel) for channel in _SENSES[gone]]
            heard = [
                silenced(log, places, 0 if since == "start" else log.record.teaches) for log in logs
            ]
            found[gone, since] = outcomes(scorer, heard)
    return found


def _best(scored: Mapping[Network, Cases]) -> dict[Network, Cases]:
    """The networks of the settings that are best on the half chosen on, one a seed."""
    groups: dict[tuple[tuple[int, ...], float], dict[Network, Cases]] = {}
    for network, cases in scored.items():
        groups.setdefault((network.widths, network.share), {})[network] = cases

    def quality(group: Mapping[Network, Cases]) -> float:
        cases = next(iter(group.values()))
        return float(np.mean([_measured(group, case, _CHOSEN_ON).auc for case in cases]))

    return max(groups.values(), key=quality)


def _measured(taken: Mapping[Network, Cases], case: Case, which: slice) -> Found:
    """Means over the seeds, the threshold being what is chosen with nothing missing."""
    found = []
    for cases in taken.values():
        stretch = choose_stretch(cases[_WHOLE][_CHOSEN_ON], AnomalyTrainerParameters()).factor
        false, missed = rates(cases[case][which], stretch)
        found.append((_auc(cases[case][which]), false, missed))
    auc, false_alarms, missed_rate = np.mean(np.array(found, float), axis=0).tolist()
    return Found(auc=auc, false_alarms=false_alarms, missed=missed_rate)


def _auc(found: Sequence[Outcome]) -> float:
    return float(np.mean([auc for auc in aucs(found) if auc is not None]))


if __name__ == "__main__":
    main()
