"""The keyword spotting recipe: from recordings, or from words alone, to a signed release."""

from __future__ import annotations

from pathlib import Path

from components.artifacts import BUNDLE, RECORDINGS, SCHEMA, STATISTICS, ArtifactType
from components.base import Channel, Component
from components.converter.component import Converter
from components.distiller.component import Distiller, DistillerParameters
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.infra_validator.component import InfraValidator
from components.packager.component import Packager
from components.pruner.component import Pruner
from components.pusher.component import Pusher, PusherParameters
from components.quantizer.component import Quantizer
from components.speech_synthesizer.component import SpeechSynthesizer, SpeechSynthesizerParameters
from components.statistics_gen.component import StatisticsGen
from components.trainer.component import Trainer, TrainerParameters
from components.transform.component import Transform
from pipeline.lineage.store import LineageStore
from pipeline.recipe import Recipe

NAME = "keyword_spotting"


def recipe(root: Path, store: LineageStore, data: Path | None, keywords: tuple[str, ...]) -> Recipe:
    """Wires the recipe.

    Args:
        root: where the repository and the trust root lie.
        store: tells the last release and the last statistics.
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
    last = store.latest_output(NAME, BUNDLE.name)
    released = {} if last is None else {"last_release": Channel(BUNDLE, path=last)}

    examples = ExampleGen(recordings=recordings)
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], **_known(store, data))
    transform = Transform(examples=examples.outputs["examples"])
    features = transform.outputs["features"]
    teacher = Trainer(
        TrainerParameters(widths=(32, 64), epochs=8), "TeacherTrainer", features=features
    )
    student = Trainer(features=features)
    pruner = Pruner(features=features, model=student.outputs["model"])
    distiller = Distiller(
        DistillerParameters(),
        features=features,
        model=pruner.outputs["model"],
        teacher=teacher.outputs["model"],
    )
    quantizer = Quantizer(
        features=features, model=distiller.outputs["model"], teacher=distiller.outputs["model"]
    )
    converter = Converter(features=features, model=quantizer.outputs["model"])
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        features=features,
        int8_model=converter.outputs["model"],
        float_model=distiller.outputs["model"],
        teacher=teacher.outputs["model"],
        **released,
    )
    infra_validator = InfraValidator(features=features, model=converter.outputs["model"])
    packager = Packager(
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


def _known(store: LineageStore, data: Path | None) -> dict[str, Channel]:
    """What earlier runs on the same folder say that the data should look like."""
    found: dict[str, Channel] = {}
    if data is not None:
        inputs: dict[str, ArtifactType] = {"previous_statistics": STATISTICS, "schema": SCHEMA}
        for name, type_ in inputs.items():
            folder = store.latest_output(NAME, type_.name, source=data)
            if folder is not None:
                found[name] = Channel(type_, path=folder)
    return found
