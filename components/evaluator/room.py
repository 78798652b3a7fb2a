"""How far thresholds may follow a device's room: from the streams that they were chosen on.

The bounds are the thresholds for less and for more false accepts than were asked for. The near misses that
tell a device what its room is like are counted on the same sound, by the device's own code.
"""

from __future__ import annotations

from collections.abc import Sequence

from components.evaluator.policy import smoothed, with_thresholds
from components.evaluator.streams import Stream
from edge_agent.bundle.manifest import DetectionPolicy, RoomBounds
from edge_agent.keyword.room import NearMisses

# Fewer say too little of what a room holds.
_LEAST_NEAR = 10


def room_bounds(
    negative: Stream,
    positive: Stream,
    policy: DetectionPolicy,
    labels: Sequence[str],
    target: float,
    accepts: Sequence[float],
    memory_hours: float,
) -> RoomBounds | None:
    """The bounds for `policy`; None where the sound holds too few near misses to go by.

    Args:
        negative: holds no keyword.
        positive: holds the keywords.
        policy: chosen on these two, for `target`.
        labels: of the streams' probabilities, in order.
        target: false accepts an hour of `negative`.
        accepts: least and most of them that the bounds may give, as multiples.
        memory_hours: as in `RoomBounds`.
    """
    fewest, most = accepts
    strict, wide = with_thresholds(
        negative, positive, policy, labels, [target * fewest, target * most]
    )
    lowest = {
        label: min(threshold, wide.thresholds[label])
        for label, threshold in policy.thresholds.items()
    }
    highest = {
        label: max(threshold, strict.thresholds[label])
        for label, threshold in policy.thresholds.items()
    }
    count = NearMisses(
        {labels.index(label): (low, policy.thresholds[label]) for label, low in lowest.items()}
    )
    near = sum(count.step(averages) for averages in smoothed(negative, policy.smoothing).tolist())
    if near < _LEAST_NEAR:
        return None
    return RoomBounds(
        near_per_hour=near / negative.hours,
        lowest=lowest,
        highest=highest,
        lowest_accepts=most,
        highest_accepts=fewest,
        memory_hours=memory_hours,
    )
