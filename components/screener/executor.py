"""Executor of the Screener."""

from __future__ import annotations

import numpy as np

from components.artifacts import write_json
from components.base import Inputs, Metrics, Outputs, Progress
from components.evaluator.scoring import clip_probabilities, float_scorer, int8_scorer
from components.screener.component import ScreenerParameters
from components.training.data import FeatureSet


def execute(inputs: Inputs, outputs: Outputs, parameters: ScreenerParameters) -> Metrics:
    """Writes ``evaluation.json``: val_accuracy and test_accuracy, and agreement where there is a float model.

    Beside them stands the hop, as in the Evaluator's, for whoever makes the form that devices run.

    Choices are made on validation clips, as recorded and in their fixed views, by one inference each:
    many decisions, so that near models can be told apart. The test figure is the device's own on clips
    as recorded (`edge_agent evaluate`), and is for reporting alone. Agreement is the share of equal decisions
    on the validation clips and their views.
    """
    features = FeatureSet.open(inputs["features"])
    score = int8_scorer((inputs["model"] / "model.tflite").read_bytes())
    progress = Progress(2, "parts")
    val = features.split("val")
    windows = features.centred(np.asarray(val.codes))
    said = score(windows).argmax(1)
    progress.at(1, "val scored")
    test = features.split("test")
    recorded = test.view == 0
    half = (parameters.smoothing - 1) // 2
    hops = range(-half, parameters.smoothing - half)
    offsets = [hop * parameters.hop_frames for hop in hops]
    near = [offset for offset in offsets if abs(offset) <= features.margin]
    codes = np.asarray(test.codes[recorded])
    heard = clip_probabilities(score, features, codes, near).argmax(1)
    metrics = {
        "val_accuracy": float((said == val.label).mean()),
        "test_accuracy": float((heard == test.label[recorded]).mean()),
    }
    if "float_model" in inputs:
        meant = float_scorer(inputs["float_model"])(windows).argmax(1)
        metrics["agreement"] = float((said == meant).mean())
    content = {**metrics, "policy": {"hop_frames": parameters.hop_frames}}
    write_json(outputs["screening"] / "evaluation.json", content)
    progress.at(2)
    return metrics
