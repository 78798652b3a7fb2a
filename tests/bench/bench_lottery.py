"""The lottery-ticket experiment: does it matter which weights a pruned network is retrained from?

    make bench-lottery                 seeds 1, 2 and 3
    make bench-lottery ARGS="4 5"      other seeds

For each seed a network is trained, and pruned in rounds that rewind to early weights: the ticket. It is
held against the same masks retrained from new weights, and against no rewinding at all, on the test clips.
If tickets were only a matter of which weights are left, new ones would do as well.
"""

from __future__ import annotations

import sys
from typing import Literal

from components.base import Component
from components.evaluator.scoring import float_scorer
from components.pruner.component import Pruner, PrunerParameters
from components.trainer.component import Trainer, TrainerParameters
from tests.bench.compression import accuracy, run, sources
from tests.bench.table import Figure, publish

Rewind = Literal["none", "early", "random"]

_REWINDS: tuple[Rewind, ...] = ("early", "random", "none")
_SPARSITY = 0.9
_ROUNDS = 3
_EPOCHS = 6


def main() -> None:
    """Trains and prunes for every seed, and publishes the table."""
    seeds = [int(text) for text in sys.argv[1:]] or [1, 2, 3]
    examples, transform = sources()
    steps: list[Component] = [examples, transform]
    for seed in seeds:
        features = transform.outputs["features"]
        trainer = Trainer(
            TrainerParameters(seed=seed, epochs=_EPOCHS, rewind_epoch=1),
            f"Trainer{seed}",
            features=features,
        )
        steps.append(trainer)
        for rewind in _REWINDS:
            parameters = PrunerParameters(
                method="iterative",
                rewind=rewind,
                final_sparsity=_SPARSITY,
                rounds=_ROUNDS,
                epochs=_EPOCHS,
                learning_rate=trainer.parameters.learning_rate,
                seed=seed,
            )
            model = trainer.outputs["model"]
            id_ = f"Pruner{seed}{rewind}"
            steps.append(Pruner(parameters, id_, features=features, model=model))
    made = run("bench_lottery", steps).artifacts
    folder = made["Transform.features"]
    found: dict[Rewind, list[float]] = {
        rewind: [
            accuracy(folder, float_scorer(made[f"Pruner{seed}{rewind}.model"])) for seed in seeds
        ]
        for rewind in _REWINDS
    }
    dense = [accuracy(folder, float_scorer(made[f"Trainer{seed}.model"])) for seed in seeds]
    publish(
        "lottery",
        [
            Figure(
                figure=f"seed {seed}: {_SPARSITY:.0%} zeros, rewind={rewind} (peer: dense)",
                ours=found[rewind][place],
                peer=dense[place],
                unit="share",
            )
            for place, seed in enumerate(seeds)
            for rewind in _REWINDS
        ]
        + [
            Figure(
                figure="mean: ticket (peer: same masks, new weights)",
                ours=sum(found["early"]) / len(seeds),
                peer=sum(found["random"]) / len(seeds),
                unit="share",
            )
        ],
    )


if __name__ == "__main__":
    main()
