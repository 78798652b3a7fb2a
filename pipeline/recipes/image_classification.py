"""The recipe for pictures: from a folder a label, or the digits in scikit-learn's wheel, to a release."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TypeVar

from components.artifacts import BUNDLE, RECORDINGS
from components.base import Channel, Component, History
from components.converter.component import Converter
from components.distiller.component import Distiller, DistillerParameters
from components.handwritten_digits.component import HandwrittenDigits
from components.image_evaluator.component import ImageEvaluator
from components.image_example_gen.component import ImageExampleGen
from components.image_example_validator.component import ImageExampleValidator
from components.image_packager.component import ImagePackager
from components.image_statistics_gen.component import ImageStatisticsGen
from components.image_transform.component import ImageTransform
from components.infra_validator.component import InfraValidator
from components.pruner.component import Pruner, PrunerParameters
from components.pusher.component import Pusher, PusherParameters
from components.quantizer.component import Quantizer, QuantizerParameters
from components.trainer.component import Trainer, TrainerParameters
from components.training.parameters import TrainingParameters
from pipeline.recipe import Recipe
from pipeline.recipes.looking_back import known_of

NAME = "image_classification"

_ARCHITECTURE = "mobilenet_v1"
_TEACHER, _STUDENT = (24, 48, 96), (12, 24, 48)


def recipe(root: Path, data: Path | None, _keywords: tuple[str, ...]) -> Recipe:
    """Wires the recipe.

    Args:
        root: where the repository and the trust root lie.
        data: folder of pictures; None for the handwritten digits.
    """
    sources: list[Component] = []
    if data is None:
        digits = HandwrittenDigits()
        sources.append(digits)
        pictures = digits.outputs["recordings"]
    else:
        pictures = Channel(RECORDINGS, path=data)
    examples = ImageExampleGen(None, "ExampleGen", recordings=pictures)
    statistics = ImageStatisticsGen(None, "StatisticsGen", examples=examples.outputs["examples"])
    validator = ImageExampleValidator(
        None, "ExampleValidator", statistics=statistics.outputs["statistics"], **known_of(data)
    )
    transform = ImageTransform(None, "Transform", examples=examples.outputs["examples"])
    features = transform.outputs["features"]
    teacher = Trainer(
        _seen(TrainerParameters(architecture=_ARCHITECTURE, widths=_TEACHER, epochs=10)),
        "TeacherTrainer",
        features=features,
    )
    student = Trainer(
        _seen(TrainerParameters(architecture=_ARCHITECTURE, widths=_STUDENT, epochs=12)),
        features=features,
    )
    pruner = Pruner(_seen(PrunerParameters()), features=features, model=student.outputs["model"])
    distiller = Distiller(
        _seen(DistillerParameters(epochs=8)),
        features=features,
        model=pruner.outputs["model"],
        teacher=teacher.outputs["model"],
    )
    quantizer = Quantizer(
        _seen(QuantizerParameters()),
        features=features,
        model=distiller.outputs["model"],
        teacher=distiller.outputs["model"],
    )
    converter = Converter(features=features, model=quantizer.outputs["model"])
    evaluator = ImageEvaluator(
        None,
        "Evaluator",
        examples=examples.outputs["examples"],
        features=features,
        int8_model=converter.outputs["model"],
        float_model=distiller.outputs["model"],
        teacher=teacher.outputs["model"],
        last_release=Channel(BUNDLE, history=History(differs="int8_model")),
    )
    infra_validator = InfraValidator(features=features, model=converter.outputs["model"])
    packager = ImagePackager(
        None,
        "Packager",
        examples=examples.outputs["examples"],
        features=features,
        trained=quantizer.outputs["model"],
        model=converter.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        infra_validation=infra_validator.outputs["result"],
    )
    pusher = Pusher(
        PusherParameters(
            repository=str(root / "repository"), root_json=str(root / "root.json"), name=NAME
        ),
        bundle=packager.outputs["bundle"],
        evaluation=evaluator.outputs["evaluation"],
        infra_validation=infra_validator.outputs["result"],
    )
    return Recipe(
        NAME,
        (
            *sources,
            examples,
            statistics,
            validator,
            transform,
            teacher,
            student,
            pruner,
            distiller,
            quantizer,
            converter,
            evaluator,
            infra_validator,
            packager,
            pusher,
        ),
    )


_P = TypeVar("_P", bound=TrainingParameters)


def _seen(parameters: _P) -> _P:
    """The augmentation of pictures, in the words of sound: time runs down, the mel axis across."""
    return dataclasses.replace(
        parameters,
        examples_per_epoch=8_192,
        ema=min(parameters.ema, 0.995),
        shift_frames=2.0,
        time_stretch=0.08,
        warp=0.08,
        warp_shift=2.0,
        gain=8.0,
        tilt=4.0,
        mask_share=0.2,
        mask_frames=8.0,
        mask_channels=8.0,
        mixup=0.2,
    )
