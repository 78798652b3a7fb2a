"""The anomaly detection recipe: from a folder of machines' logs to a signed release.

Tables hold one machine's rows in the order of time, and begin with normal running, which teaches; of
signals of vibration or sound the healthy ones teach. Every detector learns and is measured, networks as
int8 TFLite too; the cheapest of those that are as good as the best is released, which may be one without
a network. Without a folder, simulated pumps stand in.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from components.anomaly_network.component import (
    AnomalyNetworkTrainer,
    AnomalyNetworkTrainerParameters,
)
from components.anomaly_packager.component import AnomalyPackager
from components.anomaly_trainer.component import AnomalyTrainer, AnomalyTrainerParameters
from components.artifacts import RECORDINGS, SCHEMA
from components.base import Channel, Component, History, UserError
from components.converter.component import Converter
from components.infra_validator.candidate import CandidateValidator
from components.infra_validator.component import InfraValidatorParameters
from components.machine_simulator.component import MachineSimulator
from components.pusher.component import Pusher, PusherParameters
from components.series_example_gen.component import (
    Format,
    SeriesExampleGen,
    SeriesExampleGenParameters,
)
from components.series_transform.component import SeriesTransform, SeriesTransformParameters
from components.series_validator.component import SeriesValidator
from pipeline.recipe import Recipe

NAME = "anomaly_detection"
FORMATS: tuple[Format, ...] = ("csv", "nab", "wav", "mat")

# By the name that AnomalyTrainer knows it by: the id of its steps, its architecture and widths.
_NETWORKS = {
    "dense_autoencoder": ("Dense", "dense_autoencoder", (24, 6)),
    "convolutional_autoencoder": ("Convolutional", "convolutional_autoencoder", (8, 4)),
    "forecaster": ("Forecaster", "dense_forecaster", (24,)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Settings:
    """What suits a format."""

    transform: SeriesTransformParameters
    trainer: AnomalyTrainerParameters
    warm_up_rows: int = 400


_ROWS = _Settings(transform=SeriesTransformParameters(), trainer=AnomalyTrainerParameters())
_SIGNALS = _Settings(
    # A row is a whole window of a signal, and rows of several signals follow each other.
    transform=SeriesTransformParameters(window=1, wandering_limit=0.0),
    trainer=AnomalyTrainerParameters(
        lags=1, variance=0.8, smoothing=0.3, ewma_alpha=0.5, bottleneck=4
    ),
)
_NAB = _Settings(
    # Windows are found by their beginning, levels wander, and nothing stands beside the one channel.
    transform=SeriesTransformParameters(normaliser="robust", wandering_limit=0.0),
    trainer=AnomalyTrainerParameters(smoothing=0.3, threshold="quantile"),
    warm_up_rows=750,
)
_BY_FORMAT = {"csv": _ROWS, "nab": _NAB, "wav": _SIGNALS, "mat": _SIGNALS}


def recipe(
    root: Path, data: Path | None, _keywords: tuple[str, ...], format: Format = "csv"
) -> Recipe:
    """Wires the recipe.

    Args:
        root: where the repository and the trust root lie.
        data: folder of logs; None to simulate.
        format: what the logs are.

    Raises:
        UserError: if there are no logs of that format.
    """
    sources: list[Component] = []
    if data is None and format != "csv":
        raise UserError(f"--format {format}: the simulated pumps are tables: give --data")
    if data is None:
        simulator = MachineSimulator()
        sources.append(simulator)
        recordings = simulator.outputs["recordings"]
    else:
        recordings = Channel(RECORDINGS, path=data)
    settings = _BY_FORMAT[format]
    examples = SeriesExampleGen(
        SeriesExampleGenParameters(format=format, warm_up_rows=settings.warm_up_rows),
        "ExampleGen",
        recordings=recordings,
    )
    known = {}
    if data is not None:
        known["schema"] = Channel(SCHEMA, history=History(differs="series", source=data))
    rows_validator = SeriesValidator(
        None, "ExampleValidator", series=examples.outputs["series"], **known
    )
    transform = SeriesTransform(settings.transform, "Transform", series=examples.outputs["series"])
    features = transform.outputs["features"]
    networks: list[Component] = []
    made: dict[str, Channel] = {}
    for name, (id_, architecture, widths) in _NETWORKS.items():
        trainer = AnomalyNetworkTrainer(
            AnomalyNetworkTrainerParameters(architecture=architecture, widths=widths),
            f"{id_}Trainer",
            features=features,
        )
        converter = Converter(
            None, f"{id_}Converter", features=features, model=trainer.outputs["model"]
        )
        validator = CandidateValidator(
            InfraValidatorParameters(),
            f"{id_}Validator",
            features=features,
            model=converter.outputs["model"],
        )
        networks += [trainer, converter, validator]
        made |= {
            f"{name}_float": trainer.outputs["model"],
            f"{name}_model": converter.outputs["model"],
            f"{name}_validation": validator.outputs["result"],
        }
    judge = AnomalyTrainer(
        settings.trainer, series=transform.outputs["series"], features=features, **made
    )
    packager = AnomalyPackager(
        None, "Packager", model=judge.outputs["model"], evaluation=judge.outputs["evaluation"]
    )
    pusher = Pusher(
        PusherParameters(
            repository=str(root / "repository"), root_json=str(root / "root.json"), name=NAME
        ),
        bundle=packager.outputs["bundle"],
        evaluation=judge.outputs["evaluation"],
        infra_validation=packager.outputs["infra_validation"],
    )
    return Recipe(
        NAME, (*sources, examples, rows_validator, transform, *networks, judge, packager, pusher)
    )
