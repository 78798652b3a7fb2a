"""The MachineSimulator component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses

from components.artifacts import RECORDINGS
from components.base import Component


@dataclasses.dataclass(frozen=True, kw_only=True)
class MachineSimulatorParameters:
    """Parameters of MachineSimulator.

    Attributes:
        machines: how many pumps; the faults of `components.machine_simulator.pump` take turns.
        rows: seconds that each one's log lasts.
        seed: of everything random.
    """

    machines: int = 8
    rows: int = 1800
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.machines <= 1000 or not 100 <= self.rows <= 1_000_000:
            raise ValueError("machines must be 1 to 1000, rows 100 to 1000000")


class MachineSimulator(Component):
    """Writes the logs of pumps that run well and then fail, labelled."""

    OUTPUTS = {"recordings": RECORDINGS}
    PARAMETERS = MachineSimulatorParameters
    EXECUTOR = "components.machine_simulator.executor:execute"
