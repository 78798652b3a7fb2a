"""The int8 model behind a gate, as the device runs the two, and what the gate spares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluator.scoring import Probabilities, Score, clip_probabilities
from components.evaluator.streams import Stream, make_streams
from components.gate_trainer.trained import TrainedGate
from components.training.data import FeatureSet
from edge_agent.bundle.manifest import DetectionPolicy
from edge_agent.keyword.gate import Computation, OpenedGate
from edge_agent.runtime import open_model

Windows = npt.NDArray[np.int8]


class GatedScorer:
    """A `Score`: windows of codes to probabilities, the classifier's where the gate opens."""

    def __init__(self, gate: TrainedGate, labels: Sequence[str], classifier: Score) -> None:
        model = open_model(gate.path.read_bytes(), runtime="litert")
        self._gate = OpenedGate(model, gate.opens_at, labels)
        self._classifier = classifier

    def __call__(self, windows: Windows) -> Probabilities:
        """Probabilities (n, labels) of windows (n, frames, channels)."""
        answers = [self._gate.answer(np.ascontiguousarray(w)) for w in windows]
        found = np.zeros((len(windows), self._gate.labels), np.float32)
        opened = [place for place, answer in enumerate(answers) if answer is None]
        if opened:
            found[opened] = self._classifier(windows[opened])
        for place, answer in enumerate(answers):
            if answer is not None:
                found[place] = answer
        return found

    def opened(self, windows: Windows) -> Probabilities:
        """1 for each window at which the gate opens and 0 for the others, shape (n, 1)."""
        answers = [self._gate.answer(np.ascontiguousarray(w)) for w in windows]
        return np.array([[answer is None] for answer in answers], np.float32)


def gate_figures(
    scorer: GatedScorer,
    gate: TrainedGate,
    features: FeatureSet,
    policy: DetectionPolicy,
    classifier_macs: int,
) -> dict[str, Any]:
    """What a gate does on the test list: ``gate`` of evaluation.json without ``accuracy_without``.

    Args:
        scorer: the gate, loaded.
        gate: the same, as it was trained.
        features: what to measure on.
        policy: where the windows stand.
        classifier_macs: multiply-accumulates of the classifier.
    """
    test = features.split("test")
    recorded = test.view == 0
    offsets = [hop * policy.hop_frames for hop in policy.clip_hops]
    codes = np.asarray(test.codes[recorded])
    opened = clip_probabilities(scorer.opened, features, codes, offsets)[:, 0]
    truth = test.label[recorded]

    def spared(stream: Stream) -> dict[str, float]:
        return Computation(
            windows=len(stream.probabilities),
            classified=int(stream.probabilities.sum()),
            gate_macs=gate.macs,
            classifier_macs=classifier_macs,
        ).as_json()

    negative, positive = make_streams(features, test, scorer.opened, policy.hop_frames)
    return {
        "opens_at": gate.opens_at,
        "opened": {
            label: round(float(opened[truth == place].mean()), 4)
            for place, label in enumerate(features.labels)
            if (truth == place).any()
        },
        "other_sound": spared(negative),
        "words_and_pauses": spared(positive),
    }
