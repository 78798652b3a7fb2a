"""The gates on quality, from the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.artifacts import Gate
from components.evaluator.component import EvaluatorParameters
from components.evaluator.paired import PairedComparison, lower_bound

_LEAST_SPEAKER_CLIPS = 8


def decide(
    evaluation: Mapping[str, Any], paired: PairedComparison, p: EvaluatorParameters
) -> list[Gate]:
    """Every gate that an Evaluation decides, passed or not."""
    accuracy, n = evaluation["int8_accuracy"], evaluation["n"]
    baselines = evaluation["baselines"]
    recalls = {k: v["recall"] for k, v in evaluation["per_label"].items() if v["n"]}
    speakers = {
        k: v["accuracy"]
        for k, v in evaluation["per_speaker"].items()
        if v["n"] >= _LEAST_SPEAKER_CLIPS
    }
    opener = ""
    if "gate" in evaluation:
        opener = "open the gate oftener (--set GateTrainer.kept=0.997), "
    elif "early_exit" in evaluation:
        opener = "let less leave early (--set EarlyExit.agreement=0.997), "
    gates = [
        _at_most(
            "int8_drop",
            paired.drop_upper_95,
            p.drop_limit,
            f"{opener}train the Quantizer longer (--set Quantizer.epochs=6), or add recordings: the "
            "bound is wide when clips are few",
        ),
        _at_least(
            "int8_agreement",
            paired.agreement,
            p.agreement_limit,
            f"{opener}lower Quantizer.learning_rate, so that int8 stays nearer to the float model",
        ),
        _at_least(
            "better_than_majority",
            lower_bound(round(accuracy * n), n),
            baselines["majority"],
            "the model has learned nothing that the commonest label does not give: check the labels, "
            "train longer, add recordings",
        ),
    ]
    if baselines["last_release"] is not None:
        gates.append(
            _at_most(
                "drop_from_last_release",
                baselines["last_release"] - accuracy,
                p.release_drop_limit,
                "the last release does better on these clips: keep it, or find what the new data changed",
            )
        )
    worst_label = min(recalls, key=lambda k: recalls[k])
    gates.append(
        _at_least(
            "weakest_label", recalls[worst_label], p.label_floor, f"add recordings of {worst_label}"
        )
    )
    if speakers:
        worst = min(speakers, key=lambda k: speakers[k])
        gates.append(
            _at_least(
                "weakest_speaker",
                speakers[worst],
                p.speaker_floor,
                f"listen to the clips of speaker {worst}; add voices like it",
            )
        )
    if p.accuracy_floor > 0:
        gates.append(
            _at_least(
                "accuracy_floor", accuracy, p.accuracy_floor, "train longer, or add recordings"
            )
        )
    return gates


def _at_most(name: str, value: float, limit: float, advice: str) -> Gate:
    return Gate(name=name, value=round(value, 5), limit=limit, passed=value <= limit, advice=advice)


def _at_least(name: str, value: float, limit: float, advice: str) -> Gate:
    return Gate(name=name, value=round(value, 5), limit=limit, passed=value >= limit, advice=advice)
