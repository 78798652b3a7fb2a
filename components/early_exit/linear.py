"""What an exit decides by: a linear layer on the mean over time of what passes.

The layers before it stay as they are, so the network decides what goes on to its end as it did: a linear
probe, as in Alain and Bengio (2016), "Understanding intermediate layers using linear classifier probes".
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

# Logits of labels that no row has: e to the power of it is nothing beside the others'.
_NEVER = -20.0
_STEPS = 200
# Weight of the penalty against that of a row: so strong that sure means sure. With about this one,
# a third and a thirtieth of it, 97, 88 and 48% of silence left a half-trained network, measured once.
_PENALTY = 0.033


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
    """A linear layer.

    Attributes:
        weights: shape (labels, values).
        bias: shape (labels,).
    """

    weights: Float32
    bias: Float32

    def logits(self, pooled: Float32) -> Float32:
        """Shape (rows, values) to (rows, labels)."""
        return pooled @ self.weights.T + self.bias


def fit(pooled: Float32, label: npt.NDArray[np.int32], labels: int) -> Linear:
    """Multinomial logistic regression; each label counts alike, however many rows it has.

    Args:
        pooled: shape (rows, values).
        label: shape (rows,), 0 to below `labels`; two or more of them.
        labels: how many.
    """
    # It takes longer to import than a run without an exit takes for this step, and that needs none of it.
    from sklearn.linear_model import LogisticRegression

    middle, scale = pooled.mean(0), float(pooled.std()) or 1.0
    regression = LogisticRegression(
        C=1.0 / (_PENALTY * len(pooled)), max_iter=_STEPS, class_weight="balanced"
    )
    regression.fit((pooled - middle) / scale, label)
    found = regression.coef_ / scale
    bias = regression.intercept_ - found @ middle
    if len(found) == 1:  # of two labels, the second's logit against 0
        found, bias = np.stack([0 * found[0], found[0]]), np.array([0.0, bias[0]])
    weights = np.zeros((labels, pooled.shape[1]), np.float32)
    biases = np.full(labels, _NEVER, np.float32)
    weights[regression.classes_], biases[regression.classes_] = found, bias
    return Linear(weights=weights, bias=biases)
