"""The Pusher component: its parameters and its wiring."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from components.artifacts import BUNDLE, EVALUATION, INFRA_VALIDATION, RELEASE
from components.base import Component, Outputs
from components.pusher import standing


@dataclasses.dataclass(frozen=True, kw_only=True)
class PusherParameters:
    """Parameters of Pusher.

    Attributes:
        repository: folder of the update repository, made on first use; the recipe sets it.
        root_json: file to copy the trust root to, for devices; the recipe sets it.
        name: the line of releases that the bundle joins.
        version: its semantic version; empty for the next patch version.
        deltas: from how many of the newest releases devices get deltas to this one.
    """

    repository: str = ""
    root_json: str = ""
    name: str = "keyword_spotting"
    version: str = ""
    deltas: int = 3


class Pusher(Component):
    """Releases a bundle in a signed update repository if every gate holds."""

    INPUTS = {"bundle": BUNDLE, "evaluation": EVALUATION, "infra_validation": INFRA_VALIDATION}
    OUTPUTS = {"release": RELEASE}
    PARAMETERS = PusherParameters
    GATED = True
    EXECUTOR = "components.pusher.executor:execute"

    def stands(self, outputs: Outputs) -> bool:
        """Whether the release is still in the repository, and its timestamp is not about to expire."""
        return standing.stands(
            outputs["release"] / "release.json",
            Path(self.parameters.repository),
            Path(self.parameters.root_json),
        )
