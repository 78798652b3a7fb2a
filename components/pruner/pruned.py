"""What every method of pruning gives, and where its rounds keep what they go on from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from components.base import CHECKPOINT
from components.training.loop import History


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruned:
    """A pruned model.

    Attributes:
        model: the tf_keras model.
        history: curves of its (last) retraining.
        settled_from: first epoch of them whose weights may have been kept.
    """

    model: Any
    history: History
    settled_from: int = 0


def round_folder(output: Path, number: int, rounds: int) -> Path:
    """Where round `number`, from 0, of `rounds` leaves its curves and checkpoint.

    The last one does in the artifact itself; those of the others go once the step is done. A round that
    an interrupted execution had finished is not trained again.
    """
    return output if number == rounds - 1 else output / CHECKPOINT / f"round-{number}"
