"""The detection policy for a stated number of false accepts an hour, chosen on a pair of streams.

Each word gets a threshold of its own, higher for a word that much else is taken for. How much higher
cannot be read off its own few false accepts: thresholds that are, hold for the recordings that they were
chosen on and for no others. So one curve, of all words together, says what a threshold gives; and how
liable a word is, is how often it passes the lowest threshold on other sound and other words, drawn
towards the mean by `_PRIOR` false accepts (empirical Bayes, as for rates of rare events). That leaves one
figure free, how many each word may accept, and it is set so that all together accept what was asked for.

Smoothing and refractory time are those, of the ones that may be had, with the fewest words missed or
said twice; where it makes no difference of a percent, the shortest, for they delay what is heard.

The search counts by runs above a threshold, a thousand times faster than `edge_agent.keyword.policy`
and the same wherever no two words reach their thresholds at once. What is reported is measured by
that code itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from components.evaluator.streams import Stream
from edge_agent.bundle.manifest import SILENCE, UNKNOWN, DetectionPolicy

THRESHOLDS = np.round(np.append(np.arange(0.3, 0.8, 0.02), np.arange(0.8, 0.996, 0.005)), 3)
_PRIOR = 10.0
_LEVELS = 300


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """What the search may take.

    Attributes:
        smoothings: inferences that are averaged.
        refractories_ms: least times between two detections of one word, milliseconds.
    """

    smoothings: tuple[int, ...]
    refractories_ms: tuple[int, ...]


def choose(
    negative: Stream,
    positive: Stream,
    policy: DetectionPolicy,
    labels: Sequence[str],
    choices: Choices,
    target: float,
) -> DetectionPolicy:
    """`policy` with smoothing, refractory time and thresholds for `target` false accepts an hour.

    Args:
        negative: holds no keyword.
        positive: holds the keywords `positive.words`, each said once.
        policy: gives what is not chosen here.
        labels: of the streams' probabilities, in order.
        choices: what may be taken.
        target: false accepts an hour of `negative`.
    """
    found = []
    for refractory_ms, smoothing in itertools.product(
        sorted(choices.refractories_ms), sorted(choices.smoothings)
    ):
        tried = dataclasses.replace(policy, smoothing=smoothing, refractory_ms=refractory_ms)
        (tried,) = with_thresholds(negative, positive, tried, labels, [target])
        found.append((round(_share_wrong(positive, tried, labels), 2), tried))
    return min(found, key=lambda scored: scored[0])[1]


def with_thresholds(
    negative: Stream,
    positive: Stream,
    policy: DetectionPolicy,
    labels: Sequence[str],
    targets: Sequence[float],
) -> list[DetectionPolicy]:
    """`policy` with thresholds for each of `targets`, false accepts an hour of `negative`."""
    rest = _rest(policy, negative)
    elsewhere, words = (smoothed(stream, policy.smoothing) for stream in (negative, positive))
    places = {label: place for place, label in enumerate(labels) if label not in (UNKNOWN, SILENCE)}
    counts = np.array(
        [
            [len(firings(elsewhere[:, place], threshold, rest)) for threshold in THRESHOLDS]
            for place in places.values()
        ]
    )
    liable = counts[:, 0] + np.array(
        [
            len(firings(_without(words[:, place], positive, label), THRESHOLDS[0], rest))
            for label, place in places.items()
        ]
    )
    relative = (liable + _PRIOR) / (liable.mean() + _PRIOR)
    return [
        dataclasses.replace(
            policy,
            thresholds=dict(
                zip(
                    places,
                    THRESHOLDS[_chosen(counts, relative, target * negative.hours)].tolist(),
                    strict=True,
                )
            ),
        )
        for target in targets
    ]


def firings(average: npt.NDArray[np.float64], threshold: float, rest: int) -> list[int]:
    """The rows at which a word fires whose smoothed probability is `average`.

    Args:
        average: shape (rows,).
        threshold: from where on it fires.
        rest: least rows from one time to the next.
    """
    above = np.concatenate([[False], average >= threshold, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    fired: list[int] = []
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        row = max(start, fired[-1] + rest) if fired else start
        if row < end:
            fired.append(row)
    return fired


def smoothed(stream: Stream, smoothing: int) -> npt.NDArray[np.float64]:
    """The means over `smoothing` rows, shape (rows, labels); those before there are so many are 0."""
    total = np.cumsum(stream.probabilities, axis=0, dtype=np.float64)
    total[smoothing:] = total[smoothing:] - total[:-smoothing]
    total[: smoothing - 1] = 0.0
    return total / smoothing


def _rest(policy: DetectionPolicy, stream: Stream) -> int:
    return math.ceil(policy.refractory_ms / 1000.0 / stream.hop_s)


def _without(
    average: npt.NDArray[np.float64], stream: Stream, word: str
) -> npt.NDArray[np.float64]:
    """`average` with nothing where `word` itself is said, or is coming into the window."""
    kept = average.copy()
    for start, end, said in stream.words:
        if said == word:
            kept[max(0, 2 * start - end) : end] = 0.0
    return kept


def _chosen(
    counts: npt.NDArray[np.int64], liable: npt.NDArray[np.float64], most: float
) -> npt.NDArray[np.int64]:
    """The place of each word's threshold, with which no more than `most` are accepted in all.

    Args:
        counts: false accepts, shape (words, thresholds).
        liable: how often each word is taken for another, relative to the mean.
        most: of all words together.
    """
    together = np.maximum.accumulate(counts.sum(0)[::-1])[::-1]
    rows = np.arange(len(counts))
    for level in np.geomspace(max(1, together[0]) / liable.min(), 0.1, _LEVELS):
        # The first threshold at which the word, as liable as it is, accepts its part of the level.
        places = (together[None, :] * liable[:, None] > level).sum(1)
        places = np.minimum(places, len(THRESHOLDS) - 1)
        if counts[rows, places].sum() <= most:
            return places
    return np.full(len(counts), len(THRESHOLDS) - 1)


def _share_wrong(stream: Stream, policy: DetectionPolicy, labels: Sequence[str]) -> float:
    """The share of the words in `stream` that are missed; one said again counts as one more."""
    rest, averages, wrong = _rest(policy, stream), smoothed(stream, policy.smoothing), 0
    for word, threshold in policy.thresholds.items():
        rows = np.asarray(firings(averages[:, labels.index(word)], threshold, rest), int)
        wrong += sum(
            abs(int(((start <= rows) & (rows < end)).sum()) - 1)
            for start, end, said in stream.words
            if said == word
        )
    return wrong / len(stream.words) if stream.words else 0.0
