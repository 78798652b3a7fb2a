"""Rows in, findings out: what ``score`` and ``replay`` do between their source and their output."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from edge_agent.anomaly.rows import Parameters
from edge_agent.anomaly.scoring import NO_CHANNEL
from edge_agent.bundle.archive import Bundle
from edge_agent.sources.table import RowBlock
from edge_agent.watching.bundle import anomaly_manifest, open_scorer
from edge_agent.watching.quality import RowQuality


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found in one row.

    Attributes:
        time: as in the source.
        score: 0 or more; 0 in the warm-up.
        anomaly: whether the alarm is on.
        channel: the channel with the largest part of the score; None where the score is 0.
        threshold: what the score was held against; 0 in the warm-up.
    """

    time: str | int
    score: float
    anomaly: bool
    channel: str | None
    threshold: float


class Watch:
    """Scores the rows of one stream.

    Attributes:
        channels: the columns that it takes, in order.
        vibration: how the rows are made of a signal; None where they come as rows.
        quality: what was found about the rows themselves.
    """

    def __init__(self, bundle: Bundle) -> None:
        """Opens the bundle's scorer.

        Raises:
            WatchError, BundleError: if the bundle cannot be used for this.
        """
        manifest = anomaly_manifest(bundle.manifest)
        self._scorer = open_scorer(bundle)
        self.channels = [channel.name for channel in manifest.channels]
        self.vibration = manifest.vibration
        self.quality = RowQuality(
            manifest.channels, self._scorer.centre, manifest.scoring.hold_rows
        )
        self._last = (0.0, False, NO_CHANNEL, 0.0)
        self._told_unknown = False

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self._scorer.warm

    @property
    def warms(self) -> int:
        """Rows that the warm-up still needs; 0 once it is over."""
        return self._scorer.warms

    @property
    def drift(self) -> float:
        """How far adaptation has moved the normal levels: the furthest, in normal scales."""
        return self._scorer.drift

    def kept(self) -> Parameters | None:
        """What the stream has taught, for `resume`; None in the warm-up."""
        return self._scorer.kept()

    def resume(self, kept: Parameters) -> None:
        """Goes on with what `kept` gave, without a warm-up.

        Raises:
            ValueError: if it is of another kind of bundle.
        """
        self._scorer.resume(kept)

    def process(self, block: RowBlock) -> tuple[Iterator[Finding], list[str]]:
        """A finding for each of the next rows, and what is to be said about the rows themselves."""
        repeats, news = self.quality.look(block)
        scored = self._scorer.process(block.rows[~repeats])
        news += self._unknown()
        names = [*self.channels, None]  # NO_CHANNEL is the last
        score, anomaly, channel, threshold = self._last
        columns = (
            np.concatenate([[score], scored.score]).round(6).tolist(),
            np.concatenate([[anomaly], scored.anomaly]).tolist(),
            np.concatenate([[channel], scored.channel]).tolist(),
            np.concatenate([[threshold], scored.threshold]).tolist(),
        )
        self._last = (columns[0][-1], columns[1][-1], columns[2][-1], columns[3][-1])
        places = np.cumsum(~repeats).tolist()

        def findings() -> Iterator[Finding]:
            scores, alarms, channels, thresholds = columns
            for time, place in zip(block.times, places, strict=True):
                yield Finding(
                    time=time,
                    score=scores[place],
                    anomaly=alarms[place],
                    channel=names[channels[place]],
                    threshold=thresholds[place],
                )

        return findings(), news

    def _unknown(self) -> list[str]:
        """What is to be said, once the warm-up is over, of channels that it had no value of."""
        if self._told_unknown or not self._scorer.warm:
            return []
        self._told_unknown = True
        return [
            f"{self.channels[place]}: had no value in the normal rows, and cannot alarm until it is in some"
            for place in np.flatnonzero(self._scorer.unknown)
        ]
