"""The Trainer component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping

from components.artifacts import FEATURES, MODEL
from components.base import TENSORFLOW, Component
from components.models.catalogue import ARCHITECTURES
from components.targets.profile import demand_profiles, profile_digests
from components.training.parameters import TrainingParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainerParameters(TrainingParameters):
    """Parameters of the Trainer, beside those of every training step.

    Attributes:
        architecture: name in `components.models.catalogue`; docs/architectures.md tells them apart.
        widths: channels of the architecture's stages; how many there are is its depth.
        rewind_epoch: epochs after which the weights are kept beside the model, for a Pruner that rewinds
            to them; 0 keeps the initial ones.
        targets: profiles that the untrained graph must fit; the model that ships is checked again.
        members: networks that are trained one after the other, each from a seed of its own; more
            than one become an ensemble, a network that gives the mean of their probabilities.
        focus: how much more an example counts to a member that is the specialist of its label (the
            labels are dealt out among the members); 1 makes them differ by their seeds alone.
    """

    architecture: str = "streaming_resnet"
    widths: tuple[int, ...] = (16, 32)
    threads: int = 1
    rewind_epoch: int = 0
    targets: tuple[str, ...] = ()
    members: int = 1
    focus: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.architecture not in ARCHITECTURES:
            close = difflib.get_close_matches(self.architecture, ARCHITECTURES, n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise ValueError(
                f"there is no architecture {self.architecture!r}{meant}: "
                f"take one of {', '.join(sorted(ARCHITECTURES))}"
            )
        if self.rewind_epoch < 0:
            raise ValueError("rewind_epoch must be 0 or more")
        if objection := ARCHITECTURES[self.architecture].objection(self.widths):
            raise ValueError(f"{objection} ({self.architecture})")
        if self.members < 1 or self.focus < 1.0:
            raise ValueError("members and focus must be 1 or more")


class Trainer(Component):
    """Trains a float model with hard labels."""

    INPUTS = {"features": FEATURES}
    OUTPUTS = {"model": MODEL}
    PARAMETERS = TrainerParameters
    ALONE = False
    EXECUTOR = "components.trainer.executor:execute"
    PRELOADS = TENSORFLOW

    def check(self, makers: Mapping[str, Component]) -> None:
        """The profiles of its targets can be read."""
        demand_profiles(self.parameters.targets, f"{self.id}.targets")

    def named_files(self) -> Mapping[str, str]:
        """The profiles of the user's own."""
        return profile_digests(self.parameters.targets)
