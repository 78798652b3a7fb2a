"""What is left of a detector when one sense falls silent."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from components.anomaly_trainer.evaluation import evaluation, outcomes
from components.series import Log
from edge_agent.anomaly.scoring import Scorer

_FIGURES = ("roc_auc", "false_alarm_rate", "missed_rate", "f1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Silenced(Log):
    """A log in which the channels at `places` have no value from row `silent_from` on."""

    places: tuple[int, ...]
    silent_from: int

    def blocks(self, begin: int = 0) -> Iterator[npt.NDArray[np.float64]]:
        """See `Log.blocks`."""
        for block in super().blocks(begin):
            heard = block.copy()
            heard[max(self.silent_from - begin, 0) :, list(self.places)] = np.nan
            begin += len(block)
            yield heard


def silenced(log: Log, places: Sequence[int], silent_from: int) -> Silenced:
    """`log` without the channels at `places` from row `silent_from` on."""
    arrays = {name: getattr(log, name) for name in ("rows", "labels", "seconds")}
    return Silenced(record=log.record, places=tuple(places), silent_from=silent_from, **arrays)


def without_each(
    scorer: Scorer,
    logs: Sequence[Log],
    senses: Sequence[Sequence[int]],
    channels: Sequence[str],
) -> dict[str, dict[str, float | None]]:
    """Means over the logs in which a sense is missing behind what teaches, by its channels.

    Args:
        scorer: has learned.
        logs: as they are.
        senses: the places of each one's channels.
        channels: names of all there are.
    """
    found = {}
    for places in senses:
        left = [silenced(log, places, log.record.teaches) for log in logs]
        means = evaluation(outcomes(scorer, left))
        found[", ".join(channels[place] for place in places)] = {
            name: means[name] for name in _FIGURES
        }
    return found
