"""From rows to scores and alarms: everything that a bundle states about one stream, in order.

    rows -> normaliser -> wandering -> detector -> logarithm -> smoothing -> threshold -> alarm

A missing value is the last one that there was. Where the settings say for how long (`hold_rows`), a channel
that is missing for longer is gone: it stands at its normal level and has no share of the score. What learns
the threshold also plays each of the `senses` missing: without one of them a score stands as far above its
usual value, measured by the way to the threshold, as it would with all.

The first `warm_up_rows` rows of a stream score 0 and raise nothing; in them what the bundle marks as
per machine is learned. How the stream is cut into blocks changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly import normaliser
from edge_agent.anomaly.adaptation import Adaptation, AdaptationSettings
from edge_agent.anomaly.alarm import Alarm, AlarmPolicy
from edge_agent.anomaly.detectors import DetectorSettings, make_detector
from edge_agent.anomaly.network import Predict
from edge_agent.anomaly.rows import (
    ExponentialMean,
    Gone,
    Held,
    Mask,
    Parameters,
    Rows,
    as_parameters,
)
from edge_agent.anomaly.threshold import ThresholdRule, threshold
from edge_agent.anomaly.wandering import Wandering, WanderingSettings
from edge_agent.decoding import ADDED

Part = Literal["normaliser", "detector", "threshold"]
PARTS: tuple[Part, ...] = ("normaliser", "detector", "threshold")
ADAPTED = "adapted"  # the part of what is kept that adaptation learned
# Learned with the threshold, but a part of its own: an agent that knows of no senses expects what it keeps
# of a stream to hold all of each part.
_SENSES = "senses"
NO_CHANNEL = -1
_GAIN = 2  # what the shares of the channels that are left are taken times
_LEAST_SHARE = 1e-6
_LEAST_WAY = 1e-3  # from the middle of normal scores to the threshold
_UNFIT = "what was kept of a stream does not fit the bundle"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """How a stream is scored.

    Attributes:
        detectors: what the rows are held against.
        threshold: how the threshold follows from the scores of normal rows.
        alarm: how scores become alarms.
        normaliser: how a channel's normal level and spread are taken.
        wandering: which channels are seen against their own slow mean; none of them if None.
        smoothing: weight of the newest row in the exponential mean of the log scores; 1 for none.
        warm_up_rows: rows at the beginning of a stream that score 0 and raise nothing.
        per_machine: what is learned anew in the warm-up, which must be normal running.
        adaptation: how normaliser and threshold may follow the stream; not at all if None.
        hold_rows: for how many rows a missing value is held before its channel is gone; always if None.
        senses: places of channels that may go missing together, of each such group, none in two of them;
            None if not known.
    """

    detectors: DetectorSettings
    threshold: ThresholdRule
    alarm: AlarmPolicy
    normaliser: Literal["moments", "robust"] = "moments"
    wandering: WanderingSettings | None = None
    smoothing: float = 0.1
    warm_up_rows: int = 0
    per_machine: tuple[Part, ...] = ()
    adaptation: AdaptationSettings | None = None
    hold_rows: int | None = dataclasses.field(default=None, metadata=ADDED)
    senses: tuple[tuple[int, ...], ...] | None = dataclasses.field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if not 0.0 < self.smoothing <= 1.0:
            raise ValueError("smoothing must lie above 0 and at most 1")
        if not 0 <= self.warm_up_rows <= 100_000:
            raise ValueError("warm_up_rows must be 0 to 100000")
        if self.hold_rows is not None and not 0 <= self.hold_rows <= 100_000:
            raise ValueError("hold_rows must be 0 to 100000")
        if self.senses is not None and self.hold_rows is None:
            raise ValueError("senses need hold_rows")
        places = [place for sense in self.senses or () for place in sense]
        if (
            not all(self.senses or ())
            or len(set(places)) < len(places)
            or min(places, default=0) < 0
        ):
            raise ValueError(
                "senses must each have places of channels, 0 or more, and none in common"
            )
        needed = 2 * make_detector(self.detectors).run_in + 2
        if self.per_machine and self.warm_up_rows < needed:
            raise ValueError(f"warm_up_rows must be {needed} or more to learn in them")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """What was found in some rows.

    Attributes:
        score: shape (rows,), 0 or more.
        anomaly: whether the alarm is on, shape (rows,).
        shares: each channel's part of the score, shape (rows, channels).
        threshold: what the score was held against, shape (rows,); 0 in the warm-up.
    """

    score: npt.NDArray[np.float64]
    anomaly: npt.NDArray[np.bool_]
    shares: Rows
    threshold: npt.NDArray[np.float64]

    @property
    def channel(self) -> npt.NDArray[np.int64]:
        """The channel with the largest part; `NO_CHANNEL` where the score is 0."""
        return np.where(self.score > 0, self.shares.argmax(axis=1), NO_CHANNEL)


class Scorer:
    """Scores one stream.

    Attributes:
        threshold: what scores are held against now.
        typical: middle of the normal scores that it was made from.
    """

    def __init__(self, settings: ScoringSettings, predict: Predict | None = None) -> None:
        """Knows nothing until it has learned or loaded.

        Args:
            settings: how the stream is scored.
            predict: the network, where the settings name one.
        """
        self.settings = settings
        self._predict = predict
        self._detector = make_detector(settings.detectors, predict)
        self._wandering = Wandering(settings.wandering)
        self._shipped: Parameters = {}

    def learn(self, rows: Rows) -> None:
        """Learns all its parameters from normal rows in the order of time.

        Args:
            rows: shape (rows, channels); missing values (see `rows.present`) are held.

        Raises:
            ValueError: if there are too few.
        """
        self._learn(Held().process(rows), Gone(self.settings.hold_rows).process(rows), PARTS)
        self.load(_named(self._learned().items()))

    def parameters(self) -> Parameters:
        """What `learn` learned or `load` was given, as a bundle carries it, by part and name."""
        return dict(self._shipped)

    def load(self, parameters: Parameters) -> None:
        """Takes parameters that `parameters` of the same settings gave, and starts anew.

        Raises:
            ValueError: if arrays are missing, do not fit the settings, or are not finite.
        """
        if not all(np.isfinite(array).all() for array in parameters.values()):
            raise ValueError("a parameter is not finite: build the bundle again")
        try:
            self._normaliser = normaliser.of_parameters(_part(parameters, "normaliser"))
            self._wandering.load(_part(parameters, "normaliser"))
            self._detector.load(_part(parameters, "detector"))
            levels = parameters["threshold.levels"].astype(np.float64)
            without = _without(parameters, self.settings)
        except KeyError as e:
            raise ValueError(f"the parameter {e} is missing: build the bundle again") from e
        scale = self._normaliser.scale
        if levels.shape != (2,) or scale.ndim != 1 or scale.shape != self._normaliser.centre.shape:
            raise ValueError("normaliser and threshold do not fit: build the bundle again")
        if not scale.size or (scale <= 0).any():
            raise ValueError("the normaliser's scale must be above 0: build the bundle again")
        senses = self.settings.senses or ()
        highest = max((place for sense in senses for place in sense), default=0)
        if without.shape != (len(senses), 3) or highest >= scale.size or (without < 0).any():
            raise ValueError("senses and channels do not fit: build the bundle again")
        self._count_channels(scale.size)
        try:
            row = self._wandering.process(np.zeros((1, self.channels)))
            fits = self._detector.process(row).shape == (1, self.channels)
        except (ValueError, IndexError):
            fits = False
        if not fits:
            raise ValueError("detector and normaliser do not fit: build the bundle again")
        self.threshold, self.typical = map(float, levels)
        self._shipped = dict(parameters)
        self.restart()

    def with_warm_up(self, rows: int) -> Scorer:
        """Another one with the same parameters, whose streams have a warm-up of `rows`."""
        other = Scorer(dataclasses.replace(self.settings, warm_up_rows=rows), self._predict)
        other.load(self._shipped)
        return other

    @property
    def centre(self) -> npt.NDArray[np.float64]:
        """Each channel's normal level where the parameters were learned, shape (channels,)."""
        return self._shipped["normaliser.centre"].astype(np.float64)

    @property
    def unknown(self) -> npt.NDArray[np.bool_]:
        """Which channels had no value in the normal rows, and count as normal, shape (channels,)."""
        return self._normaliser.unknown

    def restart(self) -> None:
        """Forgets the stream and all that was learned in it."""
        self._take(self._shipped)
        self._held, self._gone = Held(), Gone(self.settings.hold_rows)
        self._warm_up: list[tuple[Rows, Mask]] = []
        self._left = self.settings.warm_up_rows
        self._begin()

    def revert(self) -> None:
        """Takes back what adaptation learned, and keeps the stream and its warm-up."""
        if self._adaptation is not None:
            self._normaliser, self.threshold = self._adaptation.revert()

    def kept(self) -> Parameters | None:
        """What a stream has taught so far, for `resume`; None in its warm-up.

        Empty where the settings let a stream teach nothing.
        """
        if not self.warm:
            return None
        parts = self._learned()
        adapted: Parameters = {}
        if self._adaptation is not None:
            base, level = self._adaptation.base
            parts["normaliser"] |= base.parameters()
            parts["threshold"] = _levels(level, self.typical)
            now, shift = self._normaliser, np.array([self._adaptation.shift])
            adapted = as_parameters(centre=now.centre, scale=now.scale, shift=shift)
        return _named([*((part, parts[part]) for part in self._own_parts), (ADAPTED, adapted)])

    def resume(self, kept: Parameters) -> None:
        """Begins a stream that needs no warm-up: it goes on with what `kept` gave, within the bounds.

        Args:
            kept: of a scorer with the same parameters; without its `ADAPTED` part, as before any
                adaptation.

        Raises:
            ValueError: if it does not fit; the scorer is as it was.
        """
        own = {name: a for name, a in kept.items() if not name.startswith(f"{ADAPTED}.")}
        wanted = {name for name in self._shipped if name.partition(".")[0] in self._own_parts}
        adapted = _part(kept, ADAPTED)
        channels = (self.channels,)
        fits = own.keys() == wanted and all(np.isfinite(a).all() for a in adapted.values())
        if self._adapts and adapted:
            shapes = {name: array.shape for name, array in adapted.items()}
            fits &= shapes == {"centre": channels, "scale": channels, "shift": (1,)}
        if not fits:
            raise ValueError(_UNFIT)
        merged = self._shipped | own
        trial = Scorer(self.settings, self._predict)
        try:
            trial.load(merged)
        except ValueError as e:
            raise ValueError(f"{_UNFIT}: {e}") from e
        if trial.channels != self.channels:
            raise ValueError(_UNFIT)
        self.restart()
        self._take(merged)
        self._left = 0
        self._begin()
        # Before the first row, all was as usual: one row alone raises no alarm where many would not.
        usual = np.full(channels, self.typical / self.channels)
        self._smoothing = ExponentialMean(self.settings.smoothing, usual)
        if self._adaptation is not None and adapted:
            self._normaliser, self.threshold = self._adaptation.restore(
                normaliser.of_parameters(adapted), float(adapted["shift"][0])
            )

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return not self._left

    @property
    def warms(self) -> int:
        """Rows that the warm-up still needs."""
        return self._left

    @property
    def drift(self) -> float:
        """How far adaptation has moved the centres: the furthest, in normal scales."""
        return 0.0 if self._adaptation is None else self._adaptation.distance()

    @property
    def _own_parts(self) -> tuple[str, ...]:
        """Parts that a stream learns."""
        own = self.settings.per_machine
        return (*own, _SENSES) if "threshold" in own else own

    @property
    def _adapts(self) -> bool:
        return self.settings.adaptation is not None

    def process(self, rows: Rows) -> Scored:
        """Scores the next rows of the stream; missing values (see `rows.present`) are held."""
        found = []
        gone, rows = self._gone.process(rows), self._held.process(rows)
        while len(rows):
            due = self._due(len(rows))
            piece, left_out, rows, gone = rows[:due], gone[:due], rows[due:], gone[due:]
            if self._left:
                found.append(self._warm(piece, left_out))
                continue
            found.append(self._score(piece, left_out))
            if self._adaptation is not None:
                self._normaliser, self.threshold = self._adaptation.step(
                    self._normaliser.apply(piece), left_out, found[-1].score, found[-1].anomaly
                )
        return _joined(found, self.channels)

    def _due(self, rows: int) -> int:
        """How many of `rows` come before something is learned."""
        if self._left:
            return self._left
        return rows if self._adaptation is None else self._adaptation.due()

    def macs(self) -> int:
        """Multiply-accumulates of a row, but for those of a network."""
        return self._detector.macs() + 6 * self.channels

    def state_bytes(self) -> int:
        """Bytes that a stream keeps once it is warm, as float32: state, and what it learned."""
        learned = self._learned()
        own = sum(array.nbytes for part in self._own_parts for array in learned[part].values())
        held_and_smoothed = 2 * 4 * self.channels
        ages = 0 if self.settings.hold_rows is None else 4 * self.channels
        adapting = 0 if self._adaptation is None else self._adaptation.state_bytes()
        kept = self._wandering.state_bytes() + self._detector.state_bytes()
        return kept + own + held_and_smoothed + ages + adapting

    def _take(self, parameters: Parameters) -> None:
        self._normaliser = normaliser.of_parameters(_part(parameters, "normaliser"))
        self._wandering.load(_part(parameters, "normaliser"))
        self._detector.load(_part(parameters, "detector"))
        self.threshold, self.typical = map(float, parameters["threshold.levels"])
        self._without = _without(parameters, self.settings)

    def _begin(self) -> None:
        self._forget()
        self._alarm = Alarm(self.settings.alarm)
        self._way = self.threshold - self.typical
        self._adaptation: Adaptation | None = None
        if self.settings.adaptation is not None:
            self._adaptation = Adaptation(
                self.settings.adaptation, self._normaliser, self.threshold, self.typical
            )

    def _warm(self, rows: Rows, gone: Mask) -> Scored:
        self._warm_up.append((rows, gone))
        self._left -= len(rows)
        if not self._left:
            seen, unseen = (np.concatenate(part) for part in zip(*self._warm_up, strict=True))
            self._warm_up = []
            self._learn(seen, unseen, self.settings.per_machine)
            self._begin()
            self._shares(seen, unseen)
        zero = np.zeros(len(rows))
        return Scored(
            score=zero, anomaly=zero > 0, shares=np.zeros(rows.shape), threshold=zero.copy()
        )

    def _learn(self, rows: Rows, gone: Mask, parts: tuple[Part, ...]) -> None:
        if "normaliser" in parts:
            known = np.where(gone, np.nan, rows)
            self._normaliser = normaliser.fit(known, self.settings.normaliser)
            self._wandering.learn(self._normaliser.apply(known))
        if "detector" in parts:
            self._wandering.restart()
            self._detector.learn(self._seen(rows, gone))
        if "threshold" in parts:
            self._count_channels(rows.shape[1])
            self._learn_levels(rows, gone)

    def _learn_levels(self, rows: Rows, gone: Mask) -> None:
        """Learns the threshold, and what is normal without each sense.

        What the other senses say alone is not known where they were hardly there.
        """
        missing = [gone | sense for sense in self._senses]
        told = {place: without for place, without in enumerate(missing) if self._tells(without)}
        self._without = np.ones((len(missing), 3))
        usual = self._mean_share(rows, gone) if told else 0.0
        for place, without in told.items():
            share = self._mean_share(rows, without)
            self._without[place, _GAIN] = usual / max(share, _LEAST_SHARE)
        self.threshold, self.typical = self._level(rows, gone)
        for place, sense in enumerate(self._senses):
            if place in told:
                self._without[place, :_GAIN] = self._level(rows, told[place])
            else:
                way = (self.threshold - self.typical) / float(self._unseen_ratio((~sense).mean()))
                self._without[place, :_GAIN] = self.typical + way, self.typical

    def _unseen_ratio(self, left: Any) -> Any:
        """What a score is stretched by where nobody has seen this share of the channels alone.

        A mean of fewer scatters more, by the root of how many there are.
        """
        return np.sqrt(np.maximum(left, 1.0 / self.channels))

    def _heard(self, gone: Mask) -> npt.NDArray[np.bool_]:
        """Which rows behind the run-in have a channel left."""
        heard: npt.NDArray[np.bool_] = ~gone[self._detector.run_in :].all(axis=1)
        return heard

    def _tells(self, gone: Mask) -> bool:
        """Whether most rows say what is normal."""
        return bool(self._heard(gone).mean() > 0.5)

    def _mean_share(self, rows: Rows, gone: Mask) -> float:
        """How much of a normal row's score a channel that is not gone has."""
        self._forget()
        shares = self._detector.process(self._seen(rows, gone))[self._detector.run_in :]
        return float(shares.mean(where=~gone[self._detector.run_in :]))

    def _level(self, rows: Rows, gone: Mask) -> tuple[float, float]:
        """The threshold that the scores of normal rows give, and their middle."""
        self._forget()
        scores = self._shares(rows, gone).sum(axis=1)[self._detector.run_in :]
        if self._tells(gone):
            scores = scores[self._heard(gone)]
        return threshold(scores, self.settings.threshold), float(np.median(scores))

    def _count_channels(self, channels: int) -> None:
        self.channels = channels
        places = np.arange(channels)
        senses = [np.isin(places, sense) for sense in self.settings.senses or ()]
        self._senses: Mask = np.array(senses, bool).reshape(-1, channels)

    def _alone(self, gone: Mask) -> Mask:
        """Whether a sense is all that is gone, shape (rows, senses)."""
        alone: Mask = (gone[:, None, :] == self._senses).all(axis=2)
        return alone

    def _learned(self) -> dict[str, Parameters]:
        """What it goes by now, by part."""
        return {
            "normaliser": self._normaliser.parameters() | self._wandering.parameters(),
            "detector": self._detector.parameters(),
            "threshold": _levels(self.threshold, self.typical),
            _SENSES: {} if self.settings.senses is None else as_parameters(without=self._without),
        }

    def _forget(self) -> None:
        self._wandering.restart()
        self._detector.restart()
        self._smoothing = ExponentialMean(self.settings.smoothing)

    def _seen(self, rows: Rows, gone: Mask) -> Rows:
        """What the detector sees. A gone channel's slow mean follows what is held, for its return."""
        seen = self._wandering.process(self._normaliser.apply(rows))
        return np.where(gone, 0.0, seen) if gone.any() else seen

    def _shares(self, rows: Rows, gone: Mask) -> Rows:
        """Each channel's part of the smoothed log score."""
        shares = self._detector.process(self._seen(rows, gone))
        if gone.any():
            left = np.maximum(1.0 - gone.mean(axis=1, keepdims=True), 1.0 / self.channels)
            gain = 1.0 + self._alone(gone) @ (self._without[:, [_GAIN]] - 1.0)
            shares = np.where(gone, 0.0, shares) * (gain / left)
        total = shares.sum(axis=1, keepdims=True)
        part = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
        return self._smoothing.process(np.log1p(total) * part)

    def _steadied(self, shares: Rows, gone: Mask) -> Rows:
        """`shares` of rows without some channels, their sum as it would be with all."""
        left = 1.0 - gone.mean(axis=1, keepdims=True)
        alone = self._alone(gone)
        known = alone.any(axis=1, keepdims=True)
        level, middle = self._without[:, [0]], self._without[:, [1]]
        usual = np.where(known, alone @ middle, self.typical)
        seen = alone @ (self._way / np.maximum(level - middle, _LEAST_WAY))
        ratio = np.where(known, seen, self._unseen_ratio(left))
        score = shares.sum(axis=1, keepdims=True)
        steady = np.maximum(self.typical + (score - usual) * ratio, 0.0)
        heard = (left > 0) & (score > 0)
        return shares * np.divide(steady, score, out=np.ones_like(score), where=heard)

    def _score(self, rows: Rows, gone: Mask) -> Scored:
        shares = self._shares(rows, gone)
        if gone.any():
            shares = self._steadied(shares, gone)
        score = np.maximum(shares.sum(axis=1), 0.0)
        on = self._alarm.process(score.tolist(), self.threshold)
        return Scored(
            score=score,
            anomaly=np.array(on, bool),
            shares=shares,
            threshold=np.full(len(rows), self.threshold),
        )


def _without(parameters: Parameters, settings: ScoringSettings) -> npt.NDArray[np.float64]:
    """Of each sense what is normal without it, shape (senses, 3): threshold, middle, and `_GAIN`."""
    if settings.senses is None:
        return np.zeros((0, 3))
    return parameters[f"{_SENSES}.without"].astype(np.float64)


def _levels(level: float, typical: float) -> Parameters:
    return as_parameters(levels=np.array([level, typical]))


def _named(parts: Iterable[tuple[str, Parameters]]) -> Parameters:
    return {f"{part}.{name}": array for part, p in parts for name, array in p.items()}


def _part(parameters: Parameters, part: str) -> Parameters:
    start = f"{part}."
    return {k[len(start) :]: array for k, array in parameters.items() if k.startswith(start)}


def _joined(found: list[Scored], channels: int) -> Scored:
    if len(found) == 1:
        return found[0]
    none = np.zeros(0)
    empty = Scored(
        score=none, anomaly=none > 0, shares=np.zeros((0, channels)), threshold=none.copy()
    )
    names = [field.name for field in dataclasses.fields(Scored)]
    return Scored(
        **{name: np.concatenate([getattr(s, name) for s in [empty, *found]]) for name in names}
    )
