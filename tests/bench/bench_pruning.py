"""Filter pruning by half the multiply-accumulates: what is lost, paired, and what the device is spared.

    make bench-pruning            seed 1
    make bench-pruning ARGS="2"   another seed

The peer is the same network, trained on for as many epochs without being pruned. Both are trained with int8
rounding and compared on validation and test clips and their augmentations. Beside it stands a network of
about as many multiply-accumulates that was trained so narrow from the start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.base import Component
from components.converter.component import Converter
from components.evaluator.scoring import int8_scorer
from components.infra_validator.component import InfraValidator
from components.pruner.component import Pruner, PrunerParameters
from components.quantizer.component import Quantizer, QuantizerParameters
from components.trainer.component import Trainer, TrainerParameters
from tests.bench.compression import accuracy, paired, run, sources
from tests.bench.table import Figure, publish

_MOST_LOST = 0.02
_EPOCHS = 12
# Widths whose network costs about half of what the default's does.
_NARROW = (11, 23)


def main() -> None:
    """Trains the three and publishes the figures of one seed."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    examples, transform = sources()
    features = transform.outputs["features"]
    whole = Trainer(TrainerParameters(seed=seed), "WholeTrainer", features=features)
    narrow = Trainer(
        TrainerParameters(seed=seed, widths=_NARROW), "NarrowTrainer", features=features
    )
    steps: list[Component] = [examples, transform, whole, narrow]

    def chain(name: str, trainer: Trainer, pruning: PrunerParameters) -> None:
        pruner = Pruner(pruning, f"{name}Pruner", features=features, model=trainer.outputs["model"])
        model = pruner.outputs["model"]
        quantizer = Quantizer(
            QuantizerParameters(seed=seed),
            f"{name}Quantizer",
            features=features,
            model=model,
            teacher=model,
        )
        converter = Converter(
            None, f"{name}Converter", features=features, model=quantizer.outputs["model"]
        )
        measured = InfraValidator(
            None, f"{name}InfraValidator", features=features, model=converter.outputs["model"]
        )
        steps.extend([pruner, quantizer, converter, measured])

    longer = PrunerParameters(initial_sparsity=0.0, final_sparsity=0.0, epochs=_EPOCHS, seed=seed)
    halved = PrunerParameters(method="filter", macs_share=0.5, epochs=_EPOCHS, seed=seed)
    chain("Whole", whole, longer)
    chain("Halved", whole, halved)
    chain("Narrow", narrow, longer)
    result = run("bench_pruning", steps)

    folder = result.artifacts["Transform.features"]
    scorers = {
        name: int8_scorer(
            (result.artifacts[f"{name}Converter.model"] / "model.tflite").read_bytes()
        )
        for name in ("Whole", "Halved", "Narrow")
    }
    compared = paired(folder, scorers["Whole"], scorers["Halved"])
    against = paired(folder, scorers["Narrow"], scorers["Halved"])
    accuracies = {name: accuracy(folder, score) for name, score in scorers.items()}
    publish(
        f"pruning-seed-{seed}",
        [
            *_costs(result.artifacts, "Halved", "Whole"),
            *_costs(result.artifacts, "Narrow", "Whole"),
            _figure(
                "pruned: int8 on test clips", accuracies["Halved"], accuracies["Whole"], "share"
            ),
            _figure(
                "narrow: int8 on test clips", accuracies["Narrow"], accuracies["Whole"], "share"
            ),
            _figure("pruned: drop, upper 95%", compared.drop_upper_95, _MOST_LOST, "share"),
            _figure("pruned: drop", compared.drop, _MOST_LOST, "share"),
            _figure("pruned: drop from narrow, upper 95%", against.drop_upper_95, 0.0, "share"),
            _figure("pruned: drop from narrow", against.drop, 0.0, "share"),
        ],
    )


def _costs(artifacts: Any, ours: str, peer: str) -> Iterator[Figure]:
    one, two = (_cost(artifacts, name) for name in (ours, peer))
    for name, unit in (("macs", "MACs"), ("bytes", "bytes"), ("arena", "bytes"), ("ms", "ms")):
        yield _figure(f"{ours.lower()}: {name}", one[name], two[name], unit)


def _cost(artifacts: Any, name: str) -> dict[str, float]:
    conversion = _json(artifacts[f"{name}Converter.model"] / "conversion.json")
    validation = _json(artifacts[f"{name}InfraValidator.result"] / "infra_validation.json")
    return {
        "macs": conversion["macs"],
        "bytes": conversion["bytes"],
        "arena": validation["arena_bytes"],
        "ms": validation["runtimes"]["tflite_runtime"]["latency_ms"],
    }


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _figure(name: str, ours: float, peer: float, unit: str) -> Figure:
    return Figure(figure=name, ours=float(ours), peer=float(peer), unit=unit)


if __name__ == "__main__":
    main()
