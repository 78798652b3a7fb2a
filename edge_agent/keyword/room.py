"""Thresholds that follow the room, within the bounds of the bundle: pure.

The thresholds of a bundle were chosen for a number of false accepts an hour, on sound of which it says how
many near misses an hour it held: times that a label came to its lowest threshold and not to the one that
was chosen. What a room holds of near misses tells what it would hold of false accepts. Where it holds half
as many, thresholds that accept twice as much keep to the number that was asked for and miss fewer words;
where it holds twice as many, those that accept half. Between the bundle's thresholds and its bounds they go
in a straight line over the logarithm of what they accept.

A device that has heard nothing yet stands in the bundle's own room: it counts as half of `memory_hours` of
that sound. What was heard fades, so that a room that changes is followed within days.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from edge_agent.bundle.manifest import SILENCE, UNKNOWN, DetectionPolicy, RoomBounds

_STEP_HOURS = 1 / 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heard:
    """What was heard of a room, older sound fading.

    Attributes:
        hours: of sound.
        near: near misses in it.
    """

    hours: float = 0.0
    near: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.hours <= 1e6 or not 0.0 <= self.near <= 1e9:
            raise ValueError("hours must be 0 to 1000000 and near 0 to 1000000000")

    def then(self, hours: float, near: int, memory_hours: float) -> Heard:
        """With `hours` more, and `near` near misses in them."""
        kept = math.exp(-hours / memory_hours)
        return Heard(hours=self.hours * kept + hours, near=self.near * kept + near)


def accepts(heard: Heard, bounds: RoomBounds) -> float:
    """What thresholds for this room accept on the bundle's sound, as a multiple of what its own do."""
    known = bounds.memory_hours / 2
    expected = bounds.near_per_hour * (heard.hours + known)
    louder = (heard.near + bounds.near_per_hour * known) / expected
    return min(max(1.0 / louder, bounds.highest_accepts), bounds.lowest_accepts)


def thresholds_for(accepts: float, policy: DetectionPolicy, bounds: RoomBounds) -> dict[str, float]:
    """The threshold of each label of `policy` that go with `accepts`."""
    if accepts >= 1.0:
        bound, reach = bounds.lowest, bounds.lowest_accepts
    else:
        bound, reach = bounds.highest, bounds.highest_accepts
    share = math.log(accepts) / math.log(reach)
    return {
        label: threshold + share * (bound.get(label, threshold) - threshold)
        for label, threshold in policy.thresholds.items()
    }


class NearMisses:
    """Counts the near misses of one continuous stream."""

    def __init__(self, levels: Mapping[int, tuple[float, float]]) -> None:
        """Takes by place of a label the threshold that begins a near miss, and the one that makes it none."""
        self._levels = dict(levels)
        self._peaks: dict[int, float] = {}

    def step(self, averages: Sequence[float]) -> int:
        """Takes the next smoothed probabilities; gives how many near misses are over with it."""
        over = 0
        for place, (near, own) in self._levels.items():
            value = averages[place]
            if value >= near:
                self._peaks[place] = max(value, self._peaks.get(place, 0.0))
            elif place in self._peaks:
                over += self._peaks.pop(place) < own
        return over


class Room:
    """The room that a device stands in, for all streams of sound in it.

    Attributes:
        heard: what was heard so far.
        thresholds: what goes for it now, by label.
    """

    def __init__(self, policy: DetectionPolicy, bounds: RoomBounds) -> None:
        """Begins in the bundle's own room."""
        self._policy = policy
        self._bounds = bounds
        self.put(Heard())

    def put(self, heard: Heard) -> None:
        """Goes on where `heard` says."""
        self.heard = heard
        self._hours, self._near = 0.0, 0
        self.thresholds = thresholds_for(self.accepts, self._policy, self._bounds)

    @property
    def accepts(self) -> float:
        """As the function of this name says."""
        return accepts(self.heard, self._bounds)

    @property
    def drift(self) -> float:
        """The largest distance of a threshold from the bundle's."""
        before = self._policy.thresholds
        return max(
            (abs(now - before[label]) for label, now in self.thresholds.items()), default=0.0
        )

    def levels(self, labels: Sequence[str]) -> dict[int, tuple[float, float]]:
        """What `NearMisses` takes, for streams with these labels."""
        return {
            labels.index(label): (near, self._policy.thresholds[label])
            for label, near in self._bounds.lowest.items()
            if label not in (UNKNOWN, SILENCE)
        }

    def take(self, hours: float, near: int) -> None:
        """`hours` of sound have come, with `near` near misses; thresholds follow each minute."""
        self._hours += hours
        self._near += near
        if self._hours >= _STEP_HOURS:
            self.put(self.heard.then(self._hours, self._near, self._bounds.memory_hours))
