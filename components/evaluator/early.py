"""The int8 model with its early exit, as the device runs it, and what leaving early spares."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.early_exit.trained import TrainedExit
from components.evaluator.scoring import Probabilities, clip_probabilities
from components.evaluator.streams import Stream, make_streams
from components.training.data import FeatureSet
from edge_agent.bundle.manifest import DetectionPolicy

Windows = npt.NDArray[np.int8]


class EarlyExitScorer:
    """A `Score`: windows of codes to probabilities, the exit's where it is sure."""

    def __init__(self, trained: TrainedExit) -> None:
        self._network = trained.opened()

    def __call__(self, windows: Windows) -> Probabilities:
        """Probabilities (n, labels) of windows (n, frames, channels)."""
        return np.stack([self._answer(window)[0] for window in windows])

    def left(self, windows: Windows) -> Probabilities:
        """1 for each window that leaves early and 0 for the others, shape (n, 1)."""
        return np.array([[self._answer(window)[1]] for window in windows], np.float32)

    def spared(self, stream: Stream) -> dict[str, float]:
        """What is spared on a stream of which the probabilities are those of `left`."""
        windows, left = len(stream.probabilities), int(stream.probabilities.sum())
        return self._network.leaving(windows, left).as_json()

    def _answer(self, window: Windows) -> tuple[Probabilities, bool]:
        return self._network.probabilities(np.ascontiguousarray(window))


def early_exit_figures(
    scorer: EarlyExitScorer, trained: TrainedExit, features: FeatureSet, policy: DetectionPolicy
) -> dict[str, Any]:
    """What an early exit does on the test list: ``early_exit`` of evaluation.json without
    ``accuracy_without``.

    Args:
        scorer: the network, loaded.
        trained: the same, as it was trained.
        features: what to measure on.
        policy: where the windows stand.
    """
    test = features.split("test")
    recorded = test.view == 0
    offsets = [hop * policy.hop_frames for hop in policy.clip_hops]
    codes = np.asarray(test.codes[recorded])
    left = clip_probabilities(scorer.left, features, codes, offsets)[:, 0]
    truth = test.label[recorded]
    negative, positive = make_streams(features, test, scorer.left, policy.hop_frames)
    return {
        "leaves_at": trained.stated.leaves_at,
        "left": {
            label: round(float(left[truth == place].mean()), 4)
            for place, label in enumerate(features.labels)
            if (truth == place).any()
        },
        "other_sound": scorer.spared(negative),
        "words_and_pauses": scorer.spared(positive),
    }
