"""Where a training stands, written whole at the end of each epoch, so that a killed one goes on."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.base import CHECKPOINT, warn

Weights = list[npt.NDArray[Any]]

_WHOLE = "training"


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """Where a training stands.

    Attributes:
        variables: all that the next step reads: weights, their averages, the optimizer's state and
            the count of steps.
        best: the averaged weights of the best epoch so far.
        best_epoch: its number from 0.
        best_loss: its validation loss.
        history: curves by name, one value an epoch.
    """

    variables: Weights
    best: Weights
    best_epoch: int
    best_loss: float
    history: dict[str, list[float]]


class Checkpoint:
    """The checkpoint in the artifact folder `output`, which the runner keeps if the step dies.

    A step that trains several times has one for each `part`.
    """

    def __init__(self, output: Path, part: str = "") -> None:
        self._path = output / CHECKPOINT / f"{part or _WHOLE}.npz"

    def write(self, state: State) -> None:
        """Puts `state` in the place of the one before, whole or not at all."""
        rest = {
            "best_epoch": state.best_epoch,
            "best_loss": state.best_loss,
            "history": state.history,
        }
        arrays = {
            **_numbered("variable", state.variables),
            **_numbered("best", state.best),
            "rest": np.frombuffer(json.dumps(rest).encode(), np.uint8),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(f".{self._path.name}")
        with aside.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self._path)

    def read(self, shapes: Sequence[tuple[int, ...]]) -> State | None:
        """The state that an interrupted execution left; None if there is none, or it is damaged.

        Args:
            shapes: of the variables, which it must fit.
        """
        try:
            with np.load(self._path, allow_pickle=False) as arrays:
                rest = json.loads(arrays["rest"].tobytes())
                state = State(
                    variables=_list("variable", arrays),
                    best=_list("best", arrays),
                    best_epoch=rest["best_epoch"],
                    best_loss=rest["best_loss"],
                    history=rest["history"],
                )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
            warn(f"{self._path}: damaged, training starts again")
            return None
        if [array.shape for array in state.variables] != list(shapes):
            warn(f"{self._path}: of another training, which starts again")
            return None
        return state


def _numbered(name: str, arrays: Weights) -> dict[str, npt.NDArray[Any]]:
    return {f"{name}{index:05d}": np.asarray(array) for index, array in enumerate(arrays)}


def _list(name: str, arrays: Any) -> Weights:
    return [arrays[key] for key in sorted(arrays.files) if key.startswith(name)]
