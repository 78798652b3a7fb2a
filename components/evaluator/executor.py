"""Executor of the Evaluator."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import read_json, write_gates, write_json
from components.base import Inputs, Metrics, Outputs, Progress, UserError
from components.early_exit.trained import read_early_exit
from components.evaluator import gates, streams, summary
from components.evaluator.component import EvaluatorParameters
from components.evaluator.early import EarlyExitScorer, early_exit_figures
from components.evaluator.gated import GatedScorer, gate_figures
from components.evaluator.last_release import accuracy_of_release
from components.evaluator.paired import compare
from components.evaluator.policy import Choices, choose, with_thresholds
from components.evaluator.room import room_bounds
from components.evaluator.scoring import Score, clip_probabilities, float_scorer, int8_scorer
from components.gate_trainer.trained import read_gate
from components.training.data import FeatureSet, Split
from edge_agent.bundle.manifest import DetectionPolicy

# The curve of false accepts and false rejects: as multiples of the rate that is asked for.
_FACTORS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 5.0)


def execute(inputs: Inputs, outputs: Outputs, parameters: EvaluatorParameters) -> Metrics:
    """Scores validation and test clips with all models, chooses the policy, decides the gates."""
    features = FeatureSet.open(inputs["features"])
    _check_margin(features, parameters)
    progress = Progress(6, "parts")
    int8 = int8_scorer((inputs["int8_model"] / "model.tflite").read_bytes())
    gate = read_gate(inputs.get("gate"))
    alone = int8
    early_exit = read_early_exit(inputs.get("early_exit"))
    if gate is not None:
        int8 = GatedScorer(gate, features.labels, alone)
    elif early_exit is not None:
        int8 = EarlyExitScorer(early_exit)
    scored = {}
    for number, name in enumerate(("val", "test"), 1):
        scored[name] = _Scored.of(features, name, parameters, int8, inputs)
        progress.at(number, f"{name} scored")
    policy, false_accepts = _choose_policy(features, scored, parameters, int8)
    progress.at(3, "policy chosen")

    test, labels = scored["test"], features.labels
    said = test.int8.argmax(1)
    first = test.split.view == 0
    truth, decided = test.truth[first], said[first]
    counts = summary.confusion(truth, decided, len(labels))
    described = features.description["splits"]["test"]
    paired = compare(
        np.concatenate([s.truth for s in scored.values()]),
        np.concatenate([s.float_.argmax(1) for s in scored.values()]),
        np.concatenate([s.int8.argmax(1) for s in scored.values()]),
        np.concatenate([scored["val"].split.clip, test.split.clip + 10**8]).astype(np.int64),
    )
    progress.at(4, "paired comparison done")
    last = inputs.get("last_release")
    evaluation: dict[str, Any] = {
        "int8_accuracy": _share(decided == truth),
        "float_accuracy": _share(test.float_.argmax(1)[first] == truth),
        "teacher_accuracy": _share(test.teacher.argmax(1) == truth),
        "teacher_agreement": _share(test.teacher.argmax(1) == decided),
        "int8_single_accuracy": _share(test.int8_single.argmax(1)[first] == truth),
        "float_single_accuracy": _share(test.float_single.argmax(1)[first] == truth),
        "val_int8_accuracy": scored["val"].recorded_accuracy(),
        "n": len(truth),
        "per_label": summary.per_label(counts, labels),
        "per_speaker": summary.per_speaker(decided == truth, described["speakers"]),
        "confusion": {"labels": list(labels), "counts": counts.tolist()},
        "paired": dataclasses.asdict(paired),
        "false_accepts": false_accepts,
        "policy": dataclasses.asdict(policy),
        "score_mean": summary.score_range(test.int8[first].max(1), described["speakers"]),
        "worst": summary.worst_mistakes(
            truth, test.int8[first], labels, described, parameters.worst
        ),
        "baselines": {
            "majority": float(counts.sum(1).max() / counts.sum()),
            "last_release": accuracy_of_release(last, inputs["examples"]) if last else None,
        },
    }
    offsets = [hop * parameters.hop_frames for hop in parameters.clip_hops]
    if gate is not None and isinstance(int8, GatedScorer):
        macs = read_json(inputs["int8_model"] / "conversion.json")["macs"]
        evaluation["gate"] = gate_figures(int8, gate, features, policy, macs)
    elif early_exit is not None and isinstance(int8, EarlyExitScorer):
        evaluation["early_exit"] = early_exit_figures(int8, early_exit, features, policy)
    for sparing in evaluation.keys() & {"gate", "early_exit"}:
        whole = clip_probabilities(alone, features, np.asarray(test.split.codes[first]), offsets)
        evaluation[sparing]["accuracy_without"] = _share(whole.argmax(1) == truth)
    decided_gates = gates.decide(evaluation, paired, parameters)
    write_json(outputs["evaluation"] / "evaluation.json", evaluation)
    write_gates(outputs["evaluation"], decided_gates)
    progress.at(6)
    return {
        key: evaluation[key] for key in ("int8_accuracy", "float_accuracy", "teacher_accuracy")
    } | {"drop_upper_95": paired.drop_upper_95, "agreement": paired.agreement}


def _check_margin(features: FeatureSet, p: EvaluatorParameters) -> None:
    reach = max(abs(hop) for hop in p.clip_hops) * p.hop_frames
    if reach > features.margin:
        raise UserError(
            f"smoothing over {p.smoothing} inferences of {p.hop_frames} frames looks {reach} frames "
            f"beyond a clip, and the features have a margin of {features.margin}: set "
            f"Transform.margin_frames={reach}, or smooth less"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Scored:
    """A split with the probabilities of its rows; the teacher's only of the clips as recorded."""

    split: Split
    truth: npt.NDArray[np.int64]
    int8: npt.NDArray[np.float32]
    int8_single: npt.NDArray[np.float32]
    float_: npt.NDArray[np.float32]
    float_single: npt.NDArray[np.float32]
    teacher: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls, features: FeatureSet, name: str, p: EvaluatorParameters, int8: Score, inputs: Inputs
    ) -> _Scored:
        split = features.split(name)
        codes = np.asarray(split.codes)
        offsets = [hop * p.hop_frames for hop in p.clip_hops]
        float_model = float_scorer(inputs["float_model"])
        teacher = float_scorer(inputs["teacher"])
        return cls(
            split=split,
            truth=split.label.astype(np.int64),
            int8=clip_probabilities(int8, features, codes, offsets),
            int8_single=clip_probabilities(int8, features, codes, [0]),
            float_=clip_probabilities(float_model, features, codes, offsets),
            float_single=clip_probabilities(float_model, features, codes, [0]),
            teacher=clip_probabilities(teacher, features, codes[split.view == 0], offsets),
        )

    def recorded_accuracy(self) -> float:
        """int8 accuracy on the clips as recorded."""
        first = self.split.view == 0
        return _share(self.int8.argmax(1)[first] == self.truth[first])


def _choose_policy(
    features: FeatureSet, scored: dict[str, _Scored], p: EvaluatorParameters, int8: Score
) -> tuple[DetectionPolicy, dict[str, Any]]:
    """The policy from validation streams, and what it gives on test streams."""
    labels = features.labels
    policy = DetectionPolicy(
        hop_frames=p.hop_frames,
        smoothing=p.smoothing,
        thresholds={},
        refractory_ms=0,
        clip_hops=p.clip_hops,
    )
    choices = Choices(smoothings=p.smoothings, refractories_ms=p.refractories_ms)
    negative, positive = streams.make_streams(features, scored["val"].split, int8, p.hop_frames)
    policy = choose(negative, positive, policy, labels, choices, p.false_accepts_per_hour)
    targets = [p.false_accepts_per_hour * factor for factor in _FACTORS]
    others = with_thresholds(negative, positive, policy, labels, targets)
    if p.room_accepts:
        bounds = room_bounds(
            negative, positive, policy, labels, p.false_accepts_per_hour, p.room_accepts,
            p.room_memory_hours,
        )  # fmt: skip
        policy = dataclasses.replace(policy, room=bounds)
    test = streams.make_streams(features, scored["test"].split, int8, p.hop_frames)
    chosen = streams.operate(*test, policy, labels)
    hours = test[0].hours
    return policy, {
        "hours": round(hours, 4),
        "target_per_hour": p.false_accepts_per_hour,
        "count": round(chosen.false_accepts_per_hour * hours),
        "per_hour": chosen.false_accepts_per_hour,
        "false_rejects": chosen.false_rejects,
        "curve": [
            {"target_per_hour": target, **dataclasses.asdict(streams.operate(*test, other, labels))}
            for target, other in zip(targets, others, strict=True)
        ],
    }


def _share(right: npt.NDArray[np.bool_]) -> float:
    return float(right.mean())
