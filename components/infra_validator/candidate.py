"""InfraValidator for a network that may not be taken: its gates count once it is."""

from __future__ import annotations

import os
from pathlib import Path

from components.artifacts import Gate, read_gates
from components.base import Inputs, Metrics, Outputs
from components.infra_validator import executor
from components.infra_validator.component import InfraValidator, InfraValidatorParameters

_GATES = "candidate"


class CandidateValidator(InfraValidator):
    """Runs and lints one of several networks; whoever takes it hands its gates on."""

    EXECUTOR = "components.infra_validator.candidate:execute"


def execute(inputs: Inputs, outputs: Outputs, parameters: InfraValidatorParameters) -> Metrics:
    """As of InfraValidator, its gates in a folder of their own, where no release asks for them."""
    metrics = executor.execute(inputs, outputs, parameters)
    aside = outputs["result"] / _GATES
    aside.mkdir()
    os.replace(outputs["result"] / "gates.json", aside / "gates.json")
    return metrics


def candidate_gates(result: Path) -> list[Gate]:
    """The gates of the candidate whose InfraValidation lies in the folder `result`."""
    return read_gates(result / _GATES)
