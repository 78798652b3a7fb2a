"""Is one model worse than another? A paired comparison over clips and their fixed augmentations.

Views of one clip are not independent, so the clip is the unit: its difference is the mean over its
views, and the bound is one-sided, from the normal approximation over clips.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

_Z95 = 1.6448536269514722


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """The outcome of a comparison.

    Attributes:
        clips: independent units.
        views: decisions a clip, at most.
        float_accuracy: share of right decisions of the first model.
        int8_accuracy: likewise of the second.
        drop: first minus second.
        drop_upper_95: upper end of the one-sided 95% interval of the drop.
        agreement: share of equal decisions, right or wrong.
    """

    clips: int
    views: int
    float_accuracy: float
    int8_accuracy: float
    drop: float
    drop_upper_95: float
    agreement: float


def compare(
    truth: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    clip: npt.NDArray[np.int64],
) -> PairedComparison:
    """Compares the decisions `first` and `second` against `truth`; `clip` groups the views.

    All arrays have shape (rows,).
    """
    groups, inverse, counts = np.unique(clip, return_inverse=True, return_counts=True)
    right_first, right_second = first == truth, second == truth
    difference = right_first.astype(float) - right_second.astype(float)
    by_clip = np.bincount(inverse, weights=difference) / counts
    n = len(groups)
    drop = float(by_clip.mean())
    spread = float(by_clip.std(ddof=1)) if n > 1 else 1.0
    return PairedComparison(
        clips=n,
        views=int(counts.max()),
        float_accuracy=float(right_first.mean()),
        int8_accuracy=float(right_second.mean()),
        drop=drop,
        drop_upper_95=drop + _Z95 * spread / math.sqrt(n),
        agreement=float((first == second).mean()),
    )


def lower_bound(right: int, n: int) -> float:
    """Wilson's one-sided 95% lower bound of a share of `right` in `n` (E. B. Wilson, 1927)."""
    if n == 0:
        return 0.0
    share, z2 = right / n, _Z95 * _Z95
    centre = share + z2 / (2 * n)
    width = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (centre - width) / (1 + z2 / n)
