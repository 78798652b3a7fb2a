"""A new last layer from a few embeddings: pure, in numpy, and the same each time.

The old labels are guarded twice. Embeddings of training clips are replayed, and are to give what the shipped
layer gives for them (learning without forgetting: Li and Hoiem, 2016; of the layer alone, so its own answers
are the targets). And the old weights are held near where they were, the more so the greater `caution`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edge_agent.features.audio import Float32
from edge_agent.keyword.head import Head

_STEPS = 300
# A word that is learned weighs as much as this many of the labels that are replayed.
_WEIGHT = 2.0
# Share of the replayed clips of other labels that may reach a learned word's threshold.
_REACHING = 0.005
_STRICTEST = 0.95


def learned_head(
    shipped: Head, replay: Float32, words: Mapping[str, Float32], caution: float
) -> Head:
    """A head that knows `words` besides, or better; without thresholds yet.

    Args:
        shipped: what the bundle came with.
        replay: embeddings (n, size) of clips of its labels.
        words: embeddings (n, size) of each word to learn, new or known.
        caution: weight of the distance from the shipped weights.
    """
    labels = (*shipped.labels, *(word for word in words if word not in shipped.labels))
    old, size = shipped.weights.shape
    mean = replay.mean(0, dtype=np.float64)
    spread = replay.std(0, dtype=np.float64) + 1e-3
    inputs = np.concatenate([replay, *words.values()]).astype(np.float64)
    inputs = np.concatenate([(inputs - mean) / spread, np.ones((len(inputs), 1))], axis=1)

    start = np.zeros((len(labels), size + 1))
    start[:old, :size] = shipped.weights * spread
    start[:old, size] = shipped.bias + shipped.weights @ mean
    start[old:] = start[:old].mean(0)
    targets, shares = _targets(shipped, replay, words, labels)
    weights = _descend(inputs, targets, shares, start, caution)
    kernel = weights[:, :size] / spread
    return Head(
        labels=labels,
        weights=kernel.astype(np.float32),
        bias=(weights[:, size] - kernel @ mean).astype(np.float32),
    )


def with_thresholds(head: Head, shipped: Head, replay: Float32, least: float) -> Head:
    """`head` with a threshold for each word that the bundle does not know.

    It is the lowest, from `least` on, that hardly any replayed clip reaches.
    """
    given = head.probabilities(replay)
    reached = np.quantile(given, 1.0 - _REACHING, axis=0, method="higher")
    return dataclasses.replace(
        head,
        thresholds={
            label: round(float(np.clip(reached[place], least, _STRICTEST)), 4)
            for place, label in enumerate(head.labels)
            if label not in shipped.labels
        },
    )


def distance(head: Head, shipped: Head) -> float:
    """How far the shipped labels' weights have moved, as a share of their length."""
    old = len(shipped.labels)
    before = np.concatenate([shipped.weights, shipped.bias[:, None]], axis=1)
    after = np.concatenate([head.weights[:old], head.bias[:old, None]], axis=1)
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


def _targets(
    shipped: Head, replay: Float32, words: Mapping[str, Float32], labels: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What each input is to give, (n, labels), and how much it counts, (n,), 1 in all."""
    old = len(shipped.labels)
    targets = np.zeros((len(replay) + sum(map(len, words.values())), len(labels)))
    shares = np.ones(len(targets))
    targets[: len(replay), :old] = shipped.probabilities(replay)
    per_label = len(replay) / old
    begin = len(replay)
    for word, embeddings in words.items():
        end = begin + len(embeddings)
        targets[begin:end, labels.index(word)] = 1.0
        shares[begin:end] = _WEIGHT * per_label / max(1, len(embeddings))
        begin = end
    return targets, shares / shares.sum()


def _descend(
    inputs: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
    caution: float,
) -> npt.NDArray[np.float64]:
    """Least cross-entropy and distance from `start`, by Nesterov's accelerated gradient."""
    curvature = 0.5 * float(np.linalg.norm(inputs * np.sqrt(shares)[:, None], 2)) ** 2 + caution
    weights, ahead = start, start
    for step in range(_STEPS):
        logits = inputs @ ahead.T
        given = np.exp(logits - logits.max(1, keepdims=True))
        given /= given.sum(1, keepdims=True)
        slope = ((given - targets) * shares[:, None]).T @ inputs + caution * (ahead - start)
        before, weights = weights, ahead - slope / curvature
        ahead = weights + step / (step + 3.0) * (weights - before)
    return weights
