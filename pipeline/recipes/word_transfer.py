"""The word transfer recipe: a keyword model that is there learns new words, and becomes the next release.

The folder holds the recordings that the model was trained on and, beside them, a folder of each new word.
"""

from __future__ import annotations

from pathlib import Path

from components.artifacts import BUNDLE, MODEL, RECORDINGS
from components.base import Channel, History, UserError
from components.converter.component import Converter
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.infra_validator.component import InfraValidator
from components.packager.component import Packager
from components.pusher.component import Pusher, PusherParameters
from components.quantizer.component import Quantizer
from components.statistics_gen.component import StatisticsGen
from components.streamer.component import Streamer
from components.transform.component import Transform
from components.word_transfer.component import WordTransfer
from pipeline.recipe import Recipe

NAME = "word_transfer"

BASE_RECIPE, BASE_COMPONENT = "keyword_spotting", "Distiller"
"""Whose model is the base, where none is named."""


def recipe(
    root: Path, data: Path | None, _keywords: tuple[str, ...], base: Path | None = None
) -> Recipe:
    """Wires the recipe.

    Args:
        root: where the repository and the trust root lie.
        data: folder of recordings of old words and new ones.
        base: folder of the Model artifact that learns.

    Raises:
        UserError: without data or base.
    """
    if data is None:
        raise UserError(f"{NAME} learns from recordings: give --data DIR, with old and new words")
    if base is None:
        raise UserError(
            f"{NAME} goes on from a model: run {BASE_RECIPE} at this --root first, or give --base"
        )
    examples = ExampleGen(recordings=Channel(RECORDINGS, path=data))
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    validator = ExampleValidator(statistics=statistics.outputs["statistics"])
    transform = Transform(examples=examples.outputs["examples"])
    features = transform.outputs["features"]
    transfer = WordTransfer(features=features, base=Channel(MODEL, path=base))
    taught = transfer.outputs["model"]
    quantizer = Quantizer(features=features, model=taught, teacher=taught)
    converter = Converter(features=features, model=quantizer.outputs["model"])
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        features=features,
        int8_model=converter.outputs["model"],
        float_model=taught,
        teacher=taught,
        last_release=Channel(BUNDLE, history=History(differs="int8_model")),
    )
    streamer = Streamer(
        model=converter.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
    )
    infra_validator = InfraValidator(features=features, model=streamer.outputs["model"])
    packager = Packager(
        examples=examples.outputs["examples"],
        features=features,
        trained=quantizer.outputs["model"],
        model=converter.outputs["model"],
        device_model=streamer.outputs["model"],
        evaluation=evaluator.outputs["evaluation"],
        infra_validation=infra_validator.outputs["result"],
    )
    pusher = Pusher(
        # Devices follow the line of the base: this is its next release.
        PusherParameters(
            repository=str(root / "repository"),
            root_json=str(root / "root.json"),
            name=BASE_RECIPE,
        ),
        bundle=packager.outputs["bundle"],
        evaluation=evaluator.outputs["evaluation"],
        infra_validation=infra_validator.outputs["result"],
    )
    return Recipe(
        NAME,
        (
            examples,
            statistics,
            validator,
            transform,
            transfer,
            quantizer,
            converter,
            evaluator,
            streamer,
            infra_validator,
            packager,
            pusher,
        ),
    )
