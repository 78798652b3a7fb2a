"""The Gate artifact, as the steps behind it read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import read_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedGate:
    """A gate, trained and converted.

    Attributes:
        path: its .tflite file.
        opens_at: probability of any keyword, from which on it opens.
        macs: multiply-accumulates of one run.
        operators: name, version and count of each of its operators.
    """

    path: Path
    opens_at: float
    macs: int
    operators: tuple[Mapping[str, Any], ...]


def read_gate(folder: Path | None) -> TrainedGate | None:
    """The gate in an artifact's folder; None if there is no folder, or it holds none."""
    if folder is None:
        return None
    content = read_json(folder / "gate.json")
    if content["opens_at"] is None:
        return None
    return TrainedGate(
        path=folder / "gate.tflite",
        opens_at=content["opens_at"],
        macs=content["macs"],
        operators=tuple(content["operators"]),
    )
