"""The EarlyExit artifact, as the steps behind it read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import read_json
from edge_agent.bundle.manifest import EarlyExit
from edge_agent.decoding import decode
from edge_agent.keyword.early_exit import EarlyExitNetwork
from edge_agent.runtime import Runtime, open_model


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedExit:
    """A network in two parts, and its exit.

    Attributes:
        folder: where the three models lie.
        stated: how they are run; the names of the files are those in `folder`.
        operators: name, version and count of each operator of the exit.
    """

    folder: Path
    stated: EarlyExit
    operators: tuple[Mapping[str, Any], ...]

    def opened(self, runtime: Runtime = "litert") -> EarlyExitNetwork:
        """The network as a device runs it; LiteRT may be loaded beside TensorFlow."""
        stated = self.stated
        trunk, exit_, rest = (
            open_model((self.folder / name).read_bytes(), runtime=runtime)
            for name in (stated.trunk, stated.exit, stated.rest)
        )
        return EarlyExitNetwork(trunk=trunk, exit_=exit_, rest=rest, stated=stated)


def read_early_exit(folder: Path | None) -> TrainedExit | None:
    """The early exit in an artifact's folder; None if there is no folder, or it holds none."""
    if folder is None:
        return None
    content = read_json(folder / "early_exit.json")
    if content["early_exit"] is None:
        return None
    return TrainedExit(
        folder=folder,
        stated=decode(EarlyExit, content["early_exit"]),
        operators=tuple(content["operators"]),
    )
