"""The anomaly detection recipe: from a folder of sensor logs to a signed release, without a network.

Every file is one machine's log in the order of time, and begins with normal running, which teaches.
Without a folder, simulated pumps stand in.
"""

from __future__ import annotations

from pathlib import Path

from components.anomaly_packager.component import AnomalyPackager
from components.anomaly_trainer.component import AnomalyTrainer
from components.artifacts import RECORDINGS
from components.base import Channel, Component
from components.machine_simulator.component import MachineSimulator
from components.pusher.component import Pusher, PusherParameters
from pipeline.recipe import Recipe

NAME = "anomaly_detection"


def recipe(root: Path, data: Path | None, _keywords: tuple[str, ...]) -> Recipe:
    """Wires the recipe.

    Args:
        root: where the repository and the trust root lie.
        data: folder of CSV files; None to simulate.
    """
    sources: list[Component] = []
    if data is None:
        simulator = MachineSimulator()
        sources.append(simulator)
        rows = simulator.outputs["recordings"]
    else:
        rows = Channel(RECORDINGS, path=data)
    trainer = AnomalyTrainer(rows=rows)
    packager = AnomalyPackager(
        None, "Packager", model=trainer.outputs["model"], evaluation=trainer.outputs["evaluation"]
    )
    pusher = Pusher(
        PusherParameters(
            repository=str(root / "repository"), root_json=str(root / "root.json"), name=NAME
        ),
        bundle=packager.outputs["bundle"],
        evaluation=trainer.outputs["evaluation"],
        infra_validation=packager.outputs["infra_validation"],
    )
    return Recipe(NAME, (*sources, trainer, packager, pusher))
