"""Whether a release is worse in the field than what ran before, told from devices' telemetry.

Each device that takes part is judged once: when it has told of `least_hours` of work since the rollout
reached it (canary) or since the rollout began (control: a device that was not reached). Its value of a
metric is the logarithm of what it told then; where it had told of as much work before, the change since.
Canaries and controls are paired in the order in which they were judged, each of them once.

In a pair the canary is worse if its value exceeds the control's by more than the logarithm of ``margin``.
Where the release is no worse than that, chance decides at most every second pair against it, whatever the
distribution of the values is: for devices are as alike as the rollout's draw made them, and no more is
assumed. Against that a bet is held (a mixture over all shares above a half, in the sense of Ville, 1939;
see Shafer, 2021, *Testing by betting*): if the release is no worse, the bet's capital, `evidence`, ever
exceeds 1/a with a probability of at most a. So it may be looked at after each report, as often as one
likes. All bets of a rollout together err with at most ``error_rate``: half of it is for the fleet as a
whole, shared by metrics and directions; the other half for slices, of which the j-th that comes to have
devices of both sides gets the share 6/(pi^2 j^2). No more than `MOST_SLICES` are compared: an attribute of
which each device has its own value, a serial number say, tells nothing, and must not cost much either.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from fleet.rollout.checks import bounded, check


class Direction(enum.StrEnum):
    """Which way a metric becomes worse."""

    HIGHER = "higher"
    LOWER = "lower"


METRICS: Mapping[str, tuple[Direction, ...]] = {
    "trigger_rate": (Direction.HIGHER, Direction.LOWER),
    "anomaly_rate": (Direction.HIGHER, Direction.LOWER),
    "crash_rate": (Direction.HIGHER,),
    "latency_ms": (Direction.HIGHER,),
    "score": (Direction.HIGHER, Direction.LOWER),
    "distance": (Direction.HIGHER,),
}
"""What is compared, and which ways are worse."""
MAX_SLICES = 5
"""Attributes by which devices may be compared among themselves."""
MOST_SLICES = 100
"""Values of these attributes whose devices are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """What a rollout asks of devices' telemetry.

    Attributes:
        metrics: those of `METRICS` that are compared; none turns the gate off.
        error_rate: bound on the probability of halting a release that is no worse, 0 to 0.5.
        margin: how many times as much of a metric is still no worse, 1 or more.
        least_hours: of work that a device must tell of before it is judged.
        slices: attributes by whose values devices are also compared among themselves, such as hardware.
    """

    metrics: tuple[str, ...] = tuple(METRICS)
    error_rate: float = 0.05
    margin: float = 1.5
    least_hours: float = 1.0
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = all(metric in METRICS for metric in self.metrics)
        check(known, "metrics", f"give some of {', '.join(METRICS)}")
        check(len(set(self.metrics)) == len(self.metrics), "metrics", "give each once")
        bounded("error_rate", self.error_rate, 1e-9, 0.5)
        bounded("margin", self.margin, 1, 1000)
        bounded("least_hours", self.least_hours, 0.001, 10_000)
        check(len(self.slices) <= MAX_SLICES, "slices", f"give at most {MAX_SLICES} attributes")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Totals:
    """What a device told of its work with one release, added up.

    Attributes:
        hours: of work.
        triggers: keywords found; None if it does not spot any.
        anomalies: alarms raised; None if it does not watch for any.
        crashes: of workloads.
        inferences: how many.
        busy_ms: they took in all.
        score_sum: of the `scores` scores, each 0 to 1.
        scores: how many scores.
        distance: of what the device adapted from what was shipped, as last told; None without adaptation.
    """

    hours: float = 0.0
    triggers: int | None = None
    anomalies: int | None = None
    crashes: int = 0
    inferences: int = 0
    busy_ms: float = 0.0
    score_sum: float = 0.0
    scores: int = 0
    distance: float | None = None

    def plus(self, more: Totals) -> Totals:
        """With what was told next."""
        return Totals(
            hours=self.hours + more.hours,
            triggers=_sum(self.triggers, more.triggers),
            anomalies=_sum(self.anomalies, more.anomalies),
            crashes=self.crashes + more.crashes,
            inferences=self.inferences + more.inferences,
            busy_ms=self.busy_ms + more.busy_ms,
            score_sum=self.score_sum + more.score_sum,
            scores=self.scores + more.scores,
            distance=self.distance if more.distance is None else more.distance,
        )

    def since(self, earlier: Totals) -> Totals:
        """Without what had been told by `earlier`."""
        return Totals(
            hours=self.hours - earlier.hours,
            triggers=None if self.triggers is None else self.triggers - (earlier.triggers or 0),
            anomalies=None if self.anomalies is None else self.anomalies - (earlier.anomalies or 0),
            crashes=self.crashes - earlier.crashes,
            inferences=self.inferences - earlier.inferences,
            busy_ms=self.busy_ms - earlier.busy_ms,
            score_sum=self.score_sum - earlier.score_sum,
            scores=self.scores - earlier.scores,
            distance=self.distance,
        )


class Arm(enum.StrEnum):
    """Which side a device is on."""

    CANARY = "canary"
    CONTROL = "control"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """A device, judged once.

    Attributes:
        arm: its side.
        change: whether its values are changes since before the rollout, rather than levels.
        values: of each metric that it told of, logarithms.
        slices: the values of the attributes by which devices are compared among themselves.
    """

    arm: Arm
    change: bool
    values: Mapping[str, float]
    slices: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A bet on one metric, direction and slice.

    Attributes:
        metric: one of `METRICS`.
        direction: in which it would be worse.
        slice: attribute and value, ``hardware=pi-4``; empty for the whole fleet.
        pairs: of a canary and a control.
        worse: pairs in which the canary was worse by more than the margin.
        times: the median over pairs of how many times the control's value the canary's was.
        evidence: capital of the bet; 1 at the beginning.
        limit: the evidence that would be a breach.
    """

    metric: str
    direction: Direction
    slice: str
    pairs: int
    worse: int
    times: float
    evidence: float
    limit: float

    @property
    def breach(self) -> bool:
        """Whether chance no longer explains it."""
        return self.evidence >= self.limit

    def __str__(self) -> str:
        where = f" where {self.slice}" if self.slice else ""
        return (
            f"quality: {self.metric}{where} is {self.times:.3g} times that of the devices without the "
            f"release, {self.direction} than allowed in {self.worse} of {self.pairs} pairs of devices "
            f"(evidence {self.evidence:.3g}, limit {self.limit:.3g})"
        )


def judge(quality: Quality, before: Totals, since: Totals) -> tuple[bool, dict[str, float]]:
    """What a device is compared by, once it told enough: whether as a change, and its values.

    Args:
        quality: of the rollout.
        before: what it had told of its work when the rollout came to it.
        since: what it told after that, of at least ``least_hours``.
    """
    after = levels(since, quality.least_hours)
    if before.hours < quality.least_hours:
        return False, after
    earlier = levels(before, quality.least_hours)
    return True, {name: after[name] - earlier[name] for name in after if name in earlier}


def levels(totals: Totals, least_hours: float) -> dict[str, float]:
    """Logarithm of each metric that `totals` tell of.

    Rates are raised by half an event in `least_hours`, however long the device was at work: so two devices
    to which nothing happened have the same rate, though one told of twice the hours before it was judged.
    """

    def rate(count: int) -> float:
        return math.log(count / totals.hours + 0.5 / least_hours)

    found = {"crash_rate": rate(totals.crashes)}
    if totals.triggers is not None:
        found["trigger_rate"] = rate(totals.triggers)
    if totals.anomalies is not None:
        found["anomaly_rate"] = rate(totals.anomalies)
    if totals.inferences:
        found["latency_ms"] = math.log(max(totals.busy_ms / totals.inferences, 1e-6))
    if totals.scores:
        found["score"] = math.log(max(totals.score_sum / totals.scores, 1e-3))
    if totals.distance is not None:
        found["distance"] = math.log(max(totals.distance, 1e-3))
    return found


def compare(quality: Quality, samples: Sequence[Sample]) -> list[Comparison]:
    """All bets of a rollout on `samples`, which are in the order in which they were judged."""
    bets = sum(len(METRICS[metric]) for metric in quality.metrics)
    if not bets:
        return []
    share = quality.error_rate / 2 / bets
    found = list(_bets(quality, "", samples, 1 / share))
    for number, (where, mine) in enumerate(_slices(quality, samples), 1):
        limit = 1 / (share * 6 / (math.pi * number) ** 2)
        found += _bets(quality, where, mine, limit)
    return found


def breach(comparisons: Sequence[Comparison]) -> str:
    """Why the rollout must not go on: the comparison that says so most clearly; empty if none does."""
    worst = max(comparisons, key=lambda c: c.evidence / c.limit, default=None)
    return str(worst) if worst is not None and worst.breach else ""


def evidence(pairs: int, worse: int) -> float:
    """Capital of the bet after `pairs`, in `worse` of which the canary was the worse one.

    Twice the integral over p from 1/2 to 1 of (2p)^worse (2-2p)^(pairs-worse), in whole numbers.
    """
    tail = ways = 1
    for i in range(worse):  # the ways to choose i of pairs + 1, each from the one before
        ways = ways * (pairs + 1 - i) // (i + 1)
        tail += ways
    return tail / ((pairs + 1) * math.comb(pairs, worse))


def _bets(
    quality: Quality, where: str, samples: Sequence[Sample], limit: float
) -> Iterator[Comparison]:
    margin = math.log(quality.margin)
    for metric in quality.metrics:
        differences = _differences(metric, samples)
        if not differences:
            continue
        for direction in METRICS[metric]:
            sign = 1.0 if direction is Direction.HIGHER else -1.0
            worse = sum(sign * difference > margin for difference in differences)
            yield Comparison(
                metric=metric,
                direction=direction,
                slice=where,
                pairs=len(differences),
                worse=worse,
                times=math.exp(statistics.median(differences)),
                evidence=evidence(len(differences), worse),
                limit=limit,
            )


def _differences(metric: str, samples: Sequence[Sample]) -> list[float]:
    """Canary less control, pair by pair; changes are paired with changes, levels with levels."""
    found: list[float] = []
    for change in (True, False):
        kind = [s for s in samples if s.change is change and metric in s.values]
        canaries = [s.values[metric] for s in kind if s.arm is Arm.CANARY]
        controls = [s.values[metric] for s in kind if s.arm is Arm.CONTROL]
        found += [ours - theirs for ours, theirs in zip(canaries, controls, strict=False)]
    return found


def _slices(quality: Quality, samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    """The samples of each slice, in the order in which slices came to have a pair: never another one."""
    members: dict[str, list[Sample]] = {}
    arms: dict[tuple[str, bool], set[Arm]] = {}
    comparable: dict[str, list[Sample]] = {}
    for sample in samples:
        for name in quality.slices:
            if name not in sample.slices:
                continue
            where = f"{name}={sample.slices[name]}"
            members.setdefault(where, []).append(sample)
            seen = arms.setdefault((where, sample.change), set())
            seen.add(sample.arm)
            if len(seen) == len(Arm) and len(comparable) < MOST_SLICES:
                comparable.setdefault(where, members[where])
    return list(comparable.items())


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other
