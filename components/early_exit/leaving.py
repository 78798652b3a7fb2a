"""From which probability on a window leaves by the exit: pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NEVER = 1.0
"""Above every probability that an int8 softmax gives."""

Probabilities = npt.NDArray[np.float32]


def leaving_threshold(early: Probabilities, late: Probabilities, agreement: float) -> float:
    """The lowest threshold at which at least a share of `agreement` is decided as by the end alone.

    Args:
        early: what the exit gave, shape (windows, labels).
        late: what the end gave of the same.
        agreement: 0 to 1.
    """
    sure = early.max(1)
    differs = early.argmax(1) != late.argmax(1)
    may_differ = int((1.0 - agreement) * len(early) + 1e-9)
    lost = sure[differs]
    if len(lost) <= may_differ:
        return float(sure.min(initial=NEVER))
    # The surest of those that may not differ must stay, and so must all that are no surer.
    stays = np.sort(lost)[len(lost) - 1 - may_differ]
    return float(sure[sure > stays].min(initial=NEVER))
