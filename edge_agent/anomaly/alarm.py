"""From scores to alarms: a pure state machine, the same in evaluation and on the device.

    quiet -> raised -> resting -> quiet

1. Quiet: `persistence` rows in a row at or above the threshold raise the alarm.
2. Raised: `release` rows in a row below ``hysteresis * threshold`` end it.
3. Resting: for `refractory` rows after an alarm nothing is raised; rows at or above the threshold
   count again only after that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlarmPolicy:
    """The rules' figures.

    Attributes:
        persistence: rows in a row at or above the threshold that raise the alarm.
        hysteresis: share of the threshold that the score must fall below to end it.
        release: rows in a row below that which end it.
        refractory: rows after an alarm in which none is raised.
    """

    persistence: int = 1
    hysteresis: float = 1.0
    release: int = 1
    refractory: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.persistence <= 1_000_000 or not 1 <= self.release <= 1_000_000:
            raise ValueError("alarm.persistence and alarm.release must be 1 to 1000000 rows")
        if not 0.0 < self.hysteresis <= 1.0 or not 0 <= self.refractory <= 1_000_000_000:
            raise ValueError("alarm.hysteresis must be in (0, 1], refractory 0 or more rows")


class Alarm:
    """The alarm of one stream; `raised` says whether it is on."""

    def __init__(self, policy: AlarmPolicy) -> None:
        """Starts quiet."""
        self.policy = policy
        self.raised = False
        self._run = 0
        self._rest = 0

    def step(self, score: float, threshold: float) -> bool:
        """Takes the next row's score; says whether the alarm is on after it."""
        if self.raised:
            self._run = self._run + 1 if score < self.policy.hysteresis * threshold else 0
            if self._run >= self.policy.release:
                self.raised, self._run, self._rest = False, 0, self.policy.refractory
        elif self._rest:
            self._rest -= 1
        else:
            self._run = self._run + 1 if score >= threshold else 0
            if self._run >= self.policy.persistence:
                self.raised, self._run = True, 0
        return self.raised

    def process(self, scores: Iterable[float], threshold: float) -> list[bool]:
        """`step` for each of `scores` at one threshold."""
        return [self.step(score, threshold) for score in scores]
