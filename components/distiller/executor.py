"""Executor of the Distiller."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tf_keras as keras

from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs
from components.distiller.component import TEACHERS, DistillerParameters
from components.distiller.lesson import Lesson, average
from components.training import loop
from components.training.agreement import agreement
from components.training.data import FeatureSet
from components.training.sparsity import zero_masks


def execute(inputs: Inputs, outputs: Outputs, parameters: DistillerParameters) -> Metrics:
    """Trains the student on the teachers' outputs and the labels, keeping its zeros.

    Each generation after the first starts from new weights, and has the one before for its teacher.
    """
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    teachers = [
        keras.models.load_model(inputs[name] / "model.h5", compile=False)
        for name in TEACHERS
        if name in inputs
    ]
    student = keras.models.load_model(inputs["model"] / "model.h5", compile=False)
    keep = zero_masks(student)
    matched: list[tuple[tuple[str, str], ...]] = []
    metrics: Metrics = {}
    for generation in range(1, parameters.generations + 1):
        seed = parameters.seed + generation - 1
        if generation > 1:
            teachers, student = [student], _born_again(student, seed, keep)
        lesson = Lesson.of(student, teachers, parameters)
        history = loop.fit(
            lesson.model,
            features,
            dataclasses.replace(parameters.schedule(), seed=seed),
            parameters.augmentation(),
            lesson.loss,
            outputs["model"],
            keep=keep,
            part="" if parameters.generations == 1 else f"generation_{generation}",
        )
        matched.append(lesson.matched)
        metrics = {
            **metrics,
            **loop.metrics_of(history),
            "agreement": agreement(student, average(teachers), features),
        }
        if parameters.generations > 1:
            metrics[f"generation_{generation}_validation_accuracy"] = metrics["validation_accuracy"]
            metrics[f"generation_{generation}_agreement"] = metrics["agreement"]
    description = {**read_json(inputs["model"] / "model.json"), "matched_layers": matched[-1]}
    loop.save(student, outputs["model"], description, history)
    return metrics


def _born_again(student: Any, seed: int, keep: Mapping[str, Any]) -> Any:
    """The student's network with new initial weights, and the zeros that it keeps."""
    keras.utils.set_random_seed(seed)
    born = keras.models.clone_model(student)
    for variable in born.trainable_variables:
        if variable.name in keep:
            variable.assign(variable * keep[variable.name])
    return born
