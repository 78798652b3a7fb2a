"""Judging a bundle on probation: what it has shown against what it said it would not exceed.

Rules, the first that holds:

* A bundle that its workload refuses, or that makes it crash more often than its envelope allows, is refused.
* Detections, or alarms, are counted against the rate of the envelope, or twice the rate that the last good
  bundle had on this very device, whichever is higher: people do speak, and machines do fail. They come by
  chance, so what is refused is a count that would come less than once in a million times at that rate.
* Memory and the mean duration of an inference are held against the budget.
* A bundle that has been at work for as long as was asked, with input, is kept.
* One that could not be at work for that long, in four times that time, is taken back, and not blamed: its
  source is away, or another bundle was put in its place. It is tried again with the next update.
"""

from __future__ import annotations

import dataclasses
import math

from edge_agent.update.machine import Kept, Prevented, Refused
from edge_agent.update.memory import Terms

_CHANCE = 1e-6
_FEWEST_TRIGGERS = 8
_FEWEST_INFERENCES = 100
_PATIENCE = 4.0
_TIMES_USUAL = 2.0
_USUAL_AFTER_S = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usual:
    """How often a good bundle fires on this very device.

    Attributes:
        digest: of the bundle that this is true of.
        heard_s: seconds of input that it had.
        triggers: detections, or alarms that began.
    """

    digest: str = ""
    heard_s: float = 0.0
    triggers: int = 0

    def after(self, digest: str, heard_s: float, triggers: int) -> Usual:
        """What is usual after so much more; what another bundle did is nothing to go by."""
        before = self if self.digest == digest else Usual(digest=digest)
        return dataclasses.replace(
            before, heard_s=before.heard_s + heard_s, triggers=before.triggers + triggers
        )

    @property
    def per_hour(self) -> float:
        """Triggers an hour; 0 while too little was heard to tell."""
        known = self.heard_s >= _USUAL_AFTER_S
        return self.triggers / self.heard_s * 3600 if known else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seen:
    """What a bundle has shown since it began to run.

    Attributes:
        ran_s: seconds that its workload ran it, by the clock.
        waited_s: seconds since it began.
        heard_s: seconds of input.
        triggers: detections, or alarms that began.
        usual_per_hour: the same an hour with the last good bundle; 0 where that is not known.
        inferences: windows, or rows.
        latency_s: what they took together.
        added_bytes: resident memory of the bundle and its runtime.
        crashes: of its workload.
        refused: why its workload refused it; None if it did not.
    """

    ran_s: float
    waited_s: float
    heard_s: float
    triggers: int
    usual_per_hour: float
    inferences: int
    latency_s: float
    added_bytes: int
    crashes: int
    refused: str | None


def judge(seen: Seen, terms: Terms, seconds: float) -> Kept | Refused | Prevented | None:
    """What becomes of a bundle that has shown `seen`; None while that is open.

    Args:
        seen: so far.
        terms: what it is held to.
        seconds: how long it is to run before it is kept.
    """
    reason = _breach(seen, terms)
    if reason is not None:
        return Refused(f"on probation: {reason}")
    worked_s = min(seen.ran_s, seen.heard_s)
    if worked_s >= seconds:
        return Kept()
    if seen.waited_s >= _PATIENCE * seconds:
        return Prevented(
            f"on probation: it was at work for only {worked_s:.0f} of {seconds:g} s: see whether its "
            "source is there"
        )
    return None


def most_triggers(expected: float) -> int:
    """The count that chance exceeds once in a million times where `expected` are (Poisson), 8 at least."""
    most, term = 0, math.exp(-expected)
    if (
        term == 0.0
    ):  # beyond some 700 a float holds no single term; then the normal law is near enough
        return math.ceil(expected + 4.75 * math.sqrt(expected))
    left = 1.0 - term
    while left > _CHANCE:
        most += 1
        term *= expected / most
        left -= term
    return max(most, _FEWEST_TRIGGERS)


def _breach(seen: Seen, terms: Terms) -> str | None:
    if seen.refused is not None:
        return f"its workload refuses it: {seen.refused}"
    if seen.crashes > terms.crashes:
        return (
            f"its workload crashed {_times(seen.crashes)}, and its envelope allows {terms.crashes}"
        )
    rate = max(terms.triggers_per_hour, _TIMES_USUAL * seen.usual_per_hour)
    if seen.triggers > most_triggers(rate * seen.heard_s / 3600):
        return (
            f"it fired {_times(seen.triggers)} in {seen.heard_s:.0f} s, and {rate:g} an hour are "
            "what it may"
        )
    if seen.added_bytes > terms.memory_bytes:
        return (
            f"it takes {seen.added_bytes} bytes of memory, and its budget is {terms.memory_bytes}"
        )
    if seen.inferences >= _FEWEST_INFERENCES:
        latency_ms = 1000 * seen.latency_s / seen.inferences
        if latency_ms > terms.latency_ms:
            return f"one inference takes {latency_ms:.1f} ms, and its budget is {terms.latency_ms:g} ms"
    return None


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
