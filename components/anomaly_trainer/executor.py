"""Executor of AnomalyTrainer."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.anomaly_trainer import evaluation as evaluating
from components.anomaly_trainer.calibration import choose_stretch, rates
from components.anomaly_trainer.candidates import Candidate, candidates, read_networks
from components.anomaly_trainer.comparison import Compared, choose, objections
from components.anomaly_trainer.component import AnomalyTrainerParameters
from components.anomaly_trainer.evaluation import Outcome, aucs, mean, outcomes
from components.anomaly_trainer.missing_sense import without_each
from components.anomaly_trainer.nab_table import profile_scores
from components.anomaly_trainer.planted import planted
from components.anomaly_trainer.quality import NAB, ROC_AUC, Quality, nab_controls, nab_series
from components.anomaly_trainer.traces import shown, write_traces
from components.artifacts import Gate, write_gates, write_json
from components.base import Inputs, Metrics, Outputs, Progress, UserError, warn
from components.series import Log, open_logs, read_series
from components.series_transform.preprocessing import read_preprocessing
from edge_agent.anomaly.rows import Rows
from edge_agent.anomaly.scoring import Scorer
from edge_agent.features.series import VibrationFeatures

_GOLDEN_ROWS = 1024  # kept after the warm-up for the self-test
_TIMED_ROWS = 200
_MOST_PLANTED = 50  # logs that get faults, which are kept in memory


def execute(inputs: Inputs, outputs: Outputs, parameters: AnomalyTrainerParameters) -> Metrics:
    """Learns and measures every detector, takes one, and writes it and what was found.

    Raises:
        UserError: if the parameters do not fit the rows, or name a network that was not trained.
    """
    series = read_series(inputs["series"])
    logs = open_logs(inputs["series"], series)
    try:
        preprocessing = read_preprocessing(inputs["features"])
        known = candidates(
            parameters,
            preprocessing,
            series.warm_up_rows,
            read_networks(inputs),
        )
        quality = NAB if series.format == "nab" and _judged_by(logs) == "labels" else ROC_AUC
        measured = _compare(known, logs, parameters, quality)
        compared = {name: m.compared for name, m in measured.items()}
        choice = choose(compared, parameters, quality.name)
        if choice.name not in known:
            raise UserError(
                f"AnomalyTrainer.detector={choice.name}: is not among those that were compared: name "
                f"one of {', '.join(known)}"
            )
        taken = known[choice.name].stretched(compared[choice.name].stretch)
        scorer = _learned(taken, logs)
    except ValueError as e:
        raise UserError(f"AnomalyTrainer: {e}") from e
    scored = outcomes(scorer, logs)
    found = evaluating.evaluation(scored)
    # With thresholds as the series gave them: what is added comes from the other series.
    of_nab = nab_series(measured[choice.name].scored) if quality is NAB else {}
    found |= {
        "nab": profile_scores(of_nab),
        "nab_control": nab_controls(of_nab),
        "detector": choice.name,
        "why": choice.why,
        "compared": {name: dataclasses.asdict(c) for name, c in compared.items()},
        "compared_on": _judged_by(logs),
        "watches": "rows" if preprocessing.vibration is None else "signal",
        "crosswise": _crosswise(measured, parameters, quality),
        "strays": list(compared[choice.name].strays),
        "without": without_each(scorer, logs, preprocessing.senses or (), series.channels),
        "channels": list(series.channels),
    }
    for name in found["strays"]:
        warn(
            f"{name}: more than half of its rows alarm, for they lie away from its first "
            f"{series.warm_up_rows}: the bundle does not fit it, and its threshold was chosen without "
            "it; begin it where it runs as it does later, or label what is anomalous"
        )
    drawn = [logs[place] for place in shown(found["files"])]
    found["traces"] = write_traces(outputs["evaluation"], scorer, drawn)
    _write_model(outputs["model"], scorer, taken, logs, series.channels, preprocessing.vibration)
    write_json(outputs["evaluation"] / "evaluation.json", found)
    write_gates(
        outputs["evaluation"],
        [
            *evaluating.gates(found, parameters.max_false_alarms, parameters.least_gain),
            *_network_gates(compared[choice.name], parameters),
        ],
    )
    return {name: value for name, value in found.items() if isinstance(value, float)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Measured:
    """What was measured of a detector, and its scores.

    Attributes:
        compared: what was measured.
        scored: the logs that tell detectors apart, perhaps with planted faults.
        plain: the logs as they are, which the stretch is chosen on.
    """

    compared: Compared
    scored: list[Outcome]
    plain: list[Outcome]

    def of_half(self, half: int, quality: Quality) -> _Measured:
        """As if every second log alone were known, from the `half`-th of them on."""
        scored = self.scored[half::2]
        names = {outcome.log.record.name for outcome in scored}
        files = {name: auc for name, auc in self.compared.files.items() if name in names}
        found = quality.of(scored)
        return _Measured(
            compared=dataclasses.replace(self.compared, files=files, quality=found),
            scored=scored,
            plain=self.plain[half::2],
        )


def _crosswise(
    measured: Mapping[str, _Measured], parameters: AnomalyTrainerParameters, quality: Quality
) -> dict[str, float | None] | None:
    """What the choice of detector and stretch is worth on logs that it was not made on.

    Each half of the logs is judged by what the other half chose; None where a half has no figures.
    """
    figures = []
    for half in (0, 1):
        known = {name: m.of_half(half, quality) for name, m in measured.items()}
        if any(m.compared.quality is None for m in known.values()):
            return None
        name = choose({n: m.compared for n, m in known.items()}, parameters, quality.name).name
        stretch = choose_stretch(known[name].plain, parameters).factor
        others = measured[name].of_half(1 - half, quality)
        false, missed = rates(others.plain, stretch)
        figures.append((others.compared.quality, false, missed))
    names = ("quality", "false_alarm_rate", "missed_rate")
    return {n: mean(list(f)) for n, f in zip(names, zip(*figures, strict=True), strict=True)}


def _compare(
    known: dict[str, Candidate],
    logs: Sequence[Log],
    parameters: AnomalyTrainerParameters,
    quality: Quality,
) -> dict[str, _Measured]:
    judged = logs
    if _judged_by(logs) == "planted faults":
        # An odd step leaves each half of the logs its half of those with planted faults.
        some = logs[:: math.ceil(len(logs) / _MOST_PLANTED) | 1]
        judged = [planted(log, number) for number, log in enumerate(some)]
    progress = Progress(float(len(known)), "detectors")
    measured = {}
    for done, (name, candidate) in enumerate(known.items(), start=1):
        measured[name] = _measure(candidate, logs, judged, parameters, quality)
        progress.at(done, name)
    return measured


def _judged_by(logs: Sequence[Log]) -> str:
    labelled = any(bool(log.labels[log.record.teaches :].any()) for log in logs)
    return "labels" if labelled else "planted faults"


def _measure(
    candidate: Candidate,
    logs: Sequence[Log],
    judged: Sequence[Log],
    parameters: AnomalyTrainerParameters,
    quality: Quality,
) -> _Measured:
    scorer = _learned(candidate, logs)
    scored = outcomes(scorer, judged)
    found = _by_name(scored)
    # Planted faults tell detectors apart; how high the threshold lies is a matter of the rows as they are.
    plain = scored if judged is logs else outcomes(scorer, logs)
    stretch = choose_stretch(plain, parameters)
    false_alarms, missed = rates(plain, stretch.factor)
    network = candidate.network
    compared = Compared(
        quality=quality.of(scored),
        files=found,
        stretch=stretch.factor,
        strays=stretch.strays,
        false_alarm_rate=false_alarms,
        missed_rate=missed,
        bytes=_parameter_bytes(scorer) + (0 if network is None else network.conversion["bytes"]),
        state_bytes=max(outcome.state_bytes for outcome in scored),
        arena_bytes=0 if network is None else network.infra["arena_bytes"],
        macs=scorer.macs() + (0 if network is None else network.conversion["macs"]),
        row_us=_row_us(scorer, logs),
    )
    refused: tuple[str, ...] = ()
    if network is not None:
        from components.anomaly_trainer.float_network import FloatNetwork

        unrounded = Scorer(candidate.scoring, FloatNetwork(network.float_model))
        unrounded.learn(_taught(logs))
        whole = _by_name(outcomes(unrounded, judged))
        drops = [whole[name] - found[name] for name in found]
        compared = dataclasses.replace(
            compared,
            int8_drop=mean(list(drops)),
            int8_file_drop=max(drops, default=None),
        )
        refused = tuple(f"{g.name}: {g.advice}" for g in network.gates if not g.passed)
    compared = dataclasses.replace(
        compared, objections=(*objections(compared, parameters), *refused)
    )
    return _Measured(compared=compared, scored=scored, plain=plain)


def _learned(candidate: Candidate, logs: Sequence[Log]) -> Scorer:
    scorer = candidate.scorer()
    scorer.learn(_taught(logs))
    return scorer


def _taught(logs: Sequence[Log]) -> Rows:
    return np.concatenate([log.teaching() for log in logs])


def _by_name(scored: Sequence[Outcome]) -> dict[str, float]:
    """ROC-AUC by log, of those that have one."""
    pairs = zip(scored, aucs(scored), strict=True)
    return {outcome.log.record.name: auc for outcome, auc in pairs if auc is not None}


def _parameter_bytes(scorer: Scorer) -> int:
    return sum(array.nbytes for array in scorer.parameters().values())


def _row_us(scorer: Scorer, logs: Sequence[Log]) -> float:
    """CPU time of a row that comes alone, after the warm-up."""
    rows = _first_taught(logs)
    scorer.restart()
    scorer.process(rows[: scorer.settings.warm_up_rows])
    begin = time.process_time()
    for place in range(_TIMED_ROWS):
        scorer.process(rows[place % len(rows)][None, :])
    return round(1e6 * (time.process_time() - begin) / _TIMED_ROWS, 1)


def _first_taught(logs: Sequence[Log]) -> Rows:
    """The first rows of a log that begins with normal running."""
    log = next(log for log in logs if log.record.teaches)
    return np.array(log.rows[: log.record.teaches + _GOLDEN_ROWS], np.float64)


def _write_model(
    folder: Path,
    scorer: Scorer,
    taken: Candidate,
    logs: Sequence[Log],
    channels: Sequence[str],
    vibration: VibrationFeatures | None,
) -> None:
    parameters = scorer.parameters()
    np.savez(folder / "parameters.npz", **parameters)
    np.save(folder / "normal.npy", _first_taught(logs))
    size = sum(array.nbytes for array in parameters.values())
    model: dict[str, Any] = {
        "channels": list(channels),
        "scoring": dataclasses.asdict(scorer.settings),
        "vibration": None if vibration is None else dataclasses.asdict(vibration),
        "files": [log.record.name for log in logs],
        "params": sum(array.size for array in parameters.values()),
        "parameter_bytes": size,
        "bytes": size,
        "macs": scorer.macs(),
        "arena_bytes": None,
    }
    if taken.network is not None:
        network = taken.network
        shutil.copyfile(network.model, folder / "network.tflite")
        write_json(folder / "conversion.json", network.conversion)
        write_json(folder / "infra_validation.json", network.infra)
        write_json(folder / "network_gates.json", [dataclasses.asdict(g) for g in network.gates])
        model |= {
            "bytes": size + network.conversion["bytes"],
            "macs": scorer.macs() + network.conversion["macs"],
            "arena_bytes": network.infra["arena_bytes"],
        }
    write_json(folder / "model.json", model)


def _network_gates(compared: Compared, parameters: AnomalyTrainerParameters) -> list[Gate]:
    if compared.int8_drop is None or compared.int8_file_drop is None:
        return []
    advice = "take another detector, or set Converter's calibration_rows higher"
    return [
        Gate(
            name=name,
            value=value,
            limit=limit,
            passed=value <= limit,
            advice=advice,
        )
        for name, value, limit in (
            ("int8_drop", compared.int8_drop, parameters.max_int8_drop),
            ("int8_file_drop", compared.int8_file_drop, parameters.max_int8_file_drop),
        )
    ]
