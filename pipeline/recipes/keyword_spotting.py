"""The keyword spotting recipe: from recordings, or from words alone, to a signed release."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TypeVar

from components.artifacts import BUNDLE, RECORDINGS
from components.base import Channel, Component, History
from components.converter.component import Converter
from components.distiller.component import Distiller, DistillerParameters
from components.early_exit.component import EarlyExit
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.gate_trainer.component import GateTrainer, GateTrainerParameters
from components.infra_validator.component import InfraValidator
from components.packager.component import Packager
from components.pruner.component import Pruner, PrunerParameters
from components.pusher.component import Pusher, PusherParameters
from components.quantizer.component import Quantizer, QuantizerParameters
from components.speech_synthesizer.component import SpeechSynthesizer, SpeechSynthesizerParameters
from components.statistics_gen.component import StatisticsGen
from components.streamer.component import Streamer
from components.trainer.component import Trainer, TrainerParameters
from components.training.parameters import TrainingParameters
from components.transform.component import Transform
from pipeline.recipe import Recipe
from pipeline.recipes.looking_back import known_of

NAME = "keyword_spotting"

_TEACHER = (32, 48)


def recipe(root: Path, data: Path | None, keywords: tuple[str, ...]) -> Recipe:
    """Wires the recipe.

    Args:
        root: where the repository and the trust root lie.
        data: folder of recordings; None to synthesise.
        keywords: the words to synthesise where there is no folder.
    """
    sources: list[Component] = []
    if data is None:
        synthesizer = SpeechSynthesizer(SpeechSynthesizerParameters(keywords=keywords))
        sources.append(synthesizer)
        recordings = synthesizer.outputs["recordings"]
    else:
        recordings = Channel(RECORDINGS, path=data)

    examples = ExampleGen(recordings=recordings)
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], **known_of(data))
    transform = Transform(examples=examples.outputs["examples"])
    features = transform.outputs["features"]
    training = _Training.on_recordings() if data else _Training.on_synthesised_speech()
    teacher = Trainer(training.teacher, "TeacherTrainer", features=features)
    student = Trainer(training.student, features=features)
    pruner = Pruner(training.pruner, features=features, model=student.outputs["model"])
    distiller = Distiller(
        training.distiller,
        features=features,
        model=pruner.outputs["model"],
        teacher=teacher.outputs["model"],
    )
    quantizer = Quantizer(
        training.quantizer,
        features=features,
        model=distiller.outputs["model"],
        teacher=distiller.outputs["model"],
    )
    gate_trainer = GateTrainer(training.gate, features=features)
    gate = gate_trainer.outputs["gate"]
    converter = Converter(features=features, model=quantizer.outputs["model"])
    leaving = EarlyExit(features=features, model=converter.outputs["model"], gate=gate)
    early_exit = leaving.outputs["early_exit"]
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        features=features,
        int8_model=converter.outputs["model"],
        float_model=distiller.outputs["model"],
        teacher=teacher.outputs["model"],
        gate=gate,
        early_exit=early_exit,
        last_release=Channel(BUNDLE, history=History(differs="int8_model")),
    )
    streamer = Streamer(
        model=converter.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        gate=gate,
        early_exit=early_exit,
    )
    infra_validator = InfraValidator(
        features=features, model=streamer.outputs["model"], gate=gate, early_exit=early_exit
    )
    packager = Packager(
        examples=examples.outputs["examples"],
        features=features,
        trained=quantizer.outputs["model"],
        model=converter.outputs["model"],
        device_model=streamer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        infra_validation=infra_validator.outputs["result"],
        gate=gate,
        early_exit=early_exit,
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
            gate_trainer,
            converter,
            leaving,
            evaluator,
            streamer,
            infra_validator,
            packager,
            pusher,
        ),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Training:
    """The parameters of the training steps."""

    teacher: TrainerParameters
    student: TrainerParameters
    pruner: PrunerParameters
    distiller: DistillerParameters
    quantizer: QuantizerParameters
    gate: GateTrainerParameters

    @classmethod
    def on_recordings(cls) -> _Training:
        """Long, since length is what helps most where recordings are few."""
        return cls(
            teacher=TrainerParameters(widths=_TEACHER, epochs=8),
            student=TrainerParameters(),
            pruner=PrunerParameters(),
            distiller=DistillerParameters(),
            quantizer=QuantizerParameters(),
            gate=GateTrainerParameters(),
        )

    @classmethod
    def on_synthesised_speech(cls) -> _Training:
        """Shorter, and with voices and microphones bent further: real ones are not among them."""
        return cls(
            teacher=_bent(TrainerParameters(widths=_TEACHER, epochs=5)),
            student=_bent(TrainerParameters(epochs=8)),
            pruner=_bent(PrunerParameters(epochs=2)),
            distiller=_bent(DistillerParameters(epochs=3)),
            quantizer=_bent(QuantizerParameters(epochs=2)),
            gate=_bent(GateTrainerParameters(epochs=4), unknown_share=0.35),
        )


_P = TypeVar("_P", bound=TrainingParameters)


def _bent(parameters: _P, unknown_share: float = 0.06) -> _P:
    return dataclasses.replace(
        parameters,
        warp=0.12,
        warp_shift=2.0,
        tilt=6.0,
        mask_share=0.6,
        unknown_share=unknown_share,
    )
