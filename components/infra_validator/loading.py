"""Whether a runtime takes a model, of any types and any number of inputs, and TFLM's arena for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from components.infra_validator.child_process import Failed, run_child
from components.infra_validator.measure import arena_bytes

_LIMIT_S = 120


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """A runtime has allocated the model's tensors.

    Attributes:
        arena_bytes: TFLM's arena with reference kernels; None for other runtimes.
    """

    arena_bytes: int | None


def load(runtime: str, model: Path) -> Loaded | Failed:
    """Loads `model` in ``tflm``, ``litert`` or ``tflite_runtime``, in a process of its own."""
    done = run_child(
        "components.infra_validator.load_probe", [runtime, str(model.resolve())], _LIMIT_S
    )
    if isinstance(done, Failed):
        return done
    return Loaded(arena_bytes=arena_bytes(done.stderr))
