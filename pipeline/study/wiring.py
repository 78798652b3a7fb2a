"""The recipe of one candidate: as short as what is asked of it allows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from components.artifacts import BUNDLE, RECORDINGS
from components.base import Channel, Component, History
from components.converter.component import Converter
from components.distiller.component import Distiller
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.infra_validator.component import InfraValidator
from components.packager.component import Packager
from components.pruner.component import Pruner
from components.pusher.component import Pusher, PusherParameters
from components.quantizer.component import Quantizer
from components.screener.component import Screener
from components.speech_synthesizer.component import SpeechSynthesizer, SpeechSynthesizerParameters
from components.statistics_gen.component import StatisticsGen
from components.streamer.component import Streamer
from components.trainer.component import Trainer
from components.transform.component import Transform
from pipeline.recipe import Recipe

NAME = "compression_study"
RELEASES = "keyword_spotting"

Purpose = Literal["prepare", "screen", "measure", "release"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where the clips are from.

    Attributes:
        root: where the repository and the trust root lie.
        data: folder of recordings; None to synthesise.
        keywords: the words to synthesise where there is no folder.
    """

    root: Path
    data: Path | None
    keywords: tuple[str, ...]


def wire(source: Source, steps: tuple[str, ...], purpose: Purpose) -> Recipe:
    """The recipe of a candidate that needs `steps`.

    Args:
        source: where the clips are from.
        steps: of `pipeline.study.techniques.STEPS`.
        purpose: ``prepare`` ends with the features, ``screen`` with the accuracy and the form that devices
            run, ``measure`` with what runtimes and the float version say besides, ``release`` with every
            gate and a release.
    """
    sources: list[Component] = []
    if source.data is None:
        parameters = SpeechSynthesizerParameters(keywords=source.keywords)
        synthesizer = SpeechSynthesizer(parameters)
        sources.append(synthesizer)
        recordings = synthesizer.outputs["recordings"]
    else:
        recordings = Channel(RECORDINGS, path=source.data)
    examples = ExampleGen(recordings=recordings)
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    validator = ExampleValidator(statistics=statistics.outputs["statistics"])
    transform = Transform(examples=examples.outputs["examples"])
    features = transform.outputs["features"]
    made = [*sources, examples, statistics, validator, transform]
    if purpose == "prepare":
        return Recipe(NAME, tuple(made))
    training, model, teacher, float_model = _training(features, steps)
    converter = Converter(features=features, model=model)
    made += [*training, converter]
    if purpose == "release":
        made += _release(source.root, examples, features, converter, model, teacher, float_model)
    else:
        made += _comparison(features, converter, float_model, purpose)
    return Recipe(NAME, tuple(made))


def _comparison(
    features: Channel, converter: Component, float_model: Channel, purpose: Purpose
) -> list[Component]:
    """What tells candidates apart: how often they are right, and what devices would run."""
    model = converter.outputs["model"]
    against = {"float_model": float_model} if purpose == "measure" else {}
    screener = Screener(features=features, model=model, **against)
    streamer = Streamer(model=model, evaluation=screener.outputs["screening"])
    if purpose == "screen":
        return [screener, streamer]
    return [screener, streamer, InfraValidator(features=features, model=streamer.outputs["model"])]


def _training(
    features: Channel, steps: tuple[str, ...]
) -> tuple[list[Component], Channel, Channel, Channel]:
    """The steps, the model that is converted, the teacher, and the float model before quantisation."""
    student = Trainer(features=features)
    made: list[Component] = [student]
    model = student.outputs["model"]
    teacher = model
    if "Pruner" in steps:
        made.append(Pruner(features=features, model=model))
        model = made[-1].outputs["model"]
    if "Distiller" in steps:
        larger = Trainer(None, "TeacherTrainer", features=features)
        teacher = larger.outputs["model"]
        made = [larger, *made, Distiller(features=features, model=model, teacher=teacher)]
        model = made[-1].outputs["model"]
    float_model = model
    if "Quantizer" in steps:
        made.append(Quantizer(features=features, model=model, teacher=model))
        model = made[-1].outputs["model"]
    return made, model, teacher, float_model


def _release(
    root: Path,
    examples: Component,
    features: Channel,
    converter: Component,
    model: Channel,
    teacher: Channel,
    float_model: Channel,
) -> list[Component]:
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        features=features,
        int8_model=converter.outputs["model"],
        float_model=float_model,
        teacher=teacher,
        last_release=Channel(BUNDLE, history=History(differs="int8_model")),
    )
    streamer = Streamer(
        model=converter.outputs["model"], evaluation=evaluator.outputs["evaluation"]
    )
    infra_validator = InfraValidator(features=features, model=streamer.outputs["model"])
    packager = Packager(
        examples=examples.outputs["examples"],
        features=features,
        trained=model,
        model=converter.outputs["model"],
        device_model=streamer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        infra_validation=infra_validator.outputs["result"],
    )
    pusher = Pusher(
        PusherParameters(
            repository=str(root / "repository"), root_json=str(root / "root.json"), name=RELEASES
        ),
        bundle=packager.outputs["bundle"],
        evaluation=evaluator.outputs["evaluation"],
        infra_validation=infra_validator.outputs["result"],
    )
    return [evaluator, streamer, infra_validator, packager, pusher]
