"""Executor of the Distiller."""

from __future__ import annotations

import tf_keras as keras

from components.artifacts import read_json
from components.base import Inputs, Metrics, Outputs
from components.distiller.component import DistillerParameters
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import distillation_loss
from components.training.sparsity import zero_masks


def execute(inputs: Inputs, outputs: Outputs, parameters: DistillerParameters) -> Metrics:
    """Trains the student on the teacher's outputs and the labels, keeping its zeros."""
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    teacher = keras.models.load_model(inputs["teacher"] / "model.h5", compile=False)
    student = keras.models.load_model(inputs["model"] / "model.h5", compile=False)
    history = loop.fit(
        student,
        features,
        parameters.schedule(),
        parameters.augmentation(),
        distillation_loss(
            teacher, parameters.temperature, parameters.hard_weight, parameters.label_smoothing
        ),
        outputs["model"],
        keep=zero_masks(student),
    )
    loop.save(student, outputs["model"], read_json(inputs["model"] / "model.json"), history)
    return loop.metrics_of(history)
