"""The declaration of InfraValidator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from components.artifacts import (
    EARLY_EXIT,
    FEATURES,
    GATE,
    INFRA_VALIDATION,
    INT8_MODEL,
    ArtifactType,
)
from components.base import Component, UserError
from components.models.catalogue import ARCHITECTURES
from components.targets.profile import demand_profiles, profile_digests
from components.trainer.origin import trainer_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfraValidatorParameters:
    """Parameters of InfraValidator.

    Attributes:
        targets: profiles (names, or paths of .toml files) that the release is declared for; each is
            a gate. The profiles that come with the pipeline are all linted and reported.
        rows: validation windows that every runtime gets.
        random_rows: windows of random codes beside them, which reach what speech does not.
        seed: picks the windows and makes the random ones.
        latency_runs: invocations whose median is the latency; fewer on slow runtimes.
        accelerator: Vela's ``--accelerator-config``.
    """

    targets: tuple[str, ...] = ("tflite-runtime-2.14", "litert", "tflm")
    rows: int = 200
    random_rows: int = 40
    seed: int = 0
    latency_runs: int = 200
    accelerator: str = "ethos-u55-128"

    def __post_init__(self) -> None:
        if not 1 <= self.rows <= 100_000 or not 0 <= self.random_rows <= 100_000:
            raise ValueError("rows must be 1 to 100000 and random_rows 0 to 100000")
        if not 1 <= self.latency_runs <= 100_000:
            raise ValueError("latency_runs must be 1 to 100000")


class InfraValidator(Component):
    """Runs the model in tflite-runtime, LiteRT, TFLM and Vela, and lints it for its targets."""

    INPUTS: ClassVar[Mapping[str, ArtifactType]] = {"model": INT8_MODEL, "features": FEATURES}
    OPTIONAL_INPUTS: ClassVar[Mapping[str, ArtifactType]] = {
        "gate": GATE,
        "early_exit": EARLY_EXIT,
    }
    OUTPUTS: ClassVar[Mapping[str, ArtifactType]] = {"result": INFRA_VALIDATION}
    PARAMETERS = InfraValidatorParameters
    EXECUTOR = "components.infra_validator.executor:execute"

    def check(self, makers: Mapping[str, Component]) -> None:
        """Each target has a profile, and none is known to refuse the architecture."""
        targets, trainer = self.parameters.targets, trainer_of(self, "model", makers)
        demand_profiles(targets, f"{self.id}.targets")
        if trainer is None or "edgetpu" not in targets:
            return
        if not ARCHITECTURES[trainer.parameters.architecture].edge_tpu:
            able = ", ".join(name for name, a in ARCHITECTURES.items() if a.edge_tpu)
            raise UserError(
                f"{self.id}.targets: the Edge TPU is predicted not to take all of "
                f"{trainer.parameters.architecture} ({trainer.id}): leave edgetpu out, or take one of {able}"
            )

    def named_files(self) -> Mapping[str, str]:
        """The profiles of the user's own."""
        return profile_digests(self.parameters.targets)
