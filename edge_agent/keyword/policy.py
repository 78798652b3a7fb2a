"""From probabilities to detections: pure, and the same in evaluation and on the device.

The rules, in order:

1. The probabilities of the last `smoothing` inferences are averaged; before there are that many,
   nothing fires.
2. A label whose average reaches its threshold may fire if it is armed and `refractory_ms` have
   passed since it last fired. Labels without a threshold, `_unknown_` and `_silence_` never fire.
3. Of several labels that may fire at once, the one with the highest average does.
4. A label that fired is armed again once its average has been below its threshold.

On a device, thresholds may follow the room (`edge_agent.keyword.room`); in evaluation they are the policy's.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.bundle.manifest import SILENCE, UNKNOWN, DetectionPolicy
from edge_agent.keyword.room import NearMisses, Room


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detection:
    """A word was heard.

    Attributes:
        time_s: the middle of the inferences that were averaged, on the clock of `Detector.step`,
            seconds.
        label: the word.
        score: its averaged probability, 0 to 1.
    """

    time_s: float
    label: str
    score: float


class Detector:
    """Applies a policy to the inferences of one continuous stream."""

    def __init__(
        self,
        policy: DetectionPolicy,
        labels: Sequence[str],
        hop_ms: float,
        room: Room | None = None,
    ) -> None:
        """Starts with every label armed.

        Args:
            policy: the rules' figures.
            labels: what the probabilities stand for, in order.
            hop_ms: time from one inference to the next, milliseconds.
            room: gives the thresholds in the place of `policy`, and learns of near misses.
        """
        self._labels = tuple(labels)
        self._room = room
        self._near_misses = NearMisses({} if room is None else room.levels(labels))
        self._hop_hours = hop_ms / 3_600_000.0
        self._thresholds = {
            place: policy.thresholds[label]
            for place, label in enumerate(labels)
            if label in policy.thresholds and label not in (UNKNOWN, SILENCE)
        }
        self._refractory_s = policy.refractory_ms / 1000.0
        self._lag_s = (policy.smoothing - 1) / 2.0 * hop_ms / 1000.0
        self._recent: collections.deque[npt.NDArray[np.float64]] = collections.deque(
            maxlen=policy.smoothing
        )
        self._fired_s: dict[int, float] = {}
        self._disarmed: set[int] = set()

    def step(self, time_s: float, probabilities: npt.NDArray[np.floating[Any]]) -> Detection | None:
        """Takes the next inference.

        Args:
            time_s: when it stands for, seconds; whichever point of its window the caller chose.
            probabilities: shape (labels,), 0 to 1.

        Returns:
            The word that fired, if one did.
        """
        self._recent.append(np.asarray(probabilities, np.float64))
        if len(self._recent) < (self._recent.maxlen or 1):
            return None
        # What np.mean gives, in a fifth of its time: this is done for each inference.
        total = np.add.reduce(np.array(list(self._recent)), axis=0)
        average: list[float] = (total / len(self._recent)).tolist()
        if self._room is not None:
            self._room.take(self._hop_hours, self._near_misses.step(average))
        ready = []
        for place in self._thresholds:
            threshold = self._threshold(place)
            if average[place] < threshold:
                self._disarmed.discard(place)
            elif place not in self._disarmed and self._rested(place, time_s):
                ready.append(place)
        if not ready:
            return None
        place = max(ready, key=lambda p: average[p])
        self._disarmed.add(place)
        self._fired_s[place] = time_s
        return Detection(
            time_s=time_s - self._lag_s, label=self._labels[place], score=average[place]
        )

    def _threshold(self, place: int) -> float:
        shipped = self._thresholds[place]
        return shipped if self._room is None else self._room.thresholds[self._labels[place]]

    def _rested(self, place: int, time_s: float) -> bool:
        fired_s = self._fired_s.get(place)
        return fired_s is None or time_s - fired_s >= self._refractory_s
