"""What comes of a candidate, which of several are worth having, and which one is chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from components.artifacts import read_json
from edge_agent.decoding import decode

State = Literal["complete", "too_large", "beaten", "unfit"]

# Below what seeds differ by: more accuracy than this is worth bytes, less is not.
_WORTH = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What a candidate takes on a device.

    Attributes:
        bytes: of the .tflite file.
        macs: multiply-accumulates of one inference.
        arena_bytes: of TFLM's arena, with reference kernels.
    """

    bytes: int
    macs: int
    arena_bytes: int

    def within(self, other: Costs) -> bool:
        """Whether it takes no more than `other`, in nothing."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return all(mine <= its for mine, its in pairs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rival:
    """A candidate that was trained to its end.

    Attributes:
        costs: what it takes.
        accuracies: float validation accuracy after each epoch.
    """

    costs: Costs
    accuracies: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a candidate.

    Attributes:
        state: ``complete``; ``too_large``: beyond a limit, not trained; ``beaten``: stopped in training
            by a rival that takes no more; ``unfit``: cannot be built, or a target refuses it.
        reason: why it is not complete, for a person.
        accuracy: of the int8 model on the validation clips and their views; None if not complete.
        accuracies: float validation accuracy after each epoch that was trained.
        costs: None if it is unfit.
    """

    state: State
    reason: str = ""
    accuracy: float | None = None
    accuracies: tuple[float, ...] = ()
    costs: Costs | None = None

    @classmethod
    def of(cls, content: Any) -> Outcome:
        """The outcome whose ``dataclasses.asdict`` is `content`, after JSON."""
        return decode(cls, content)

    @classmethod
    def read(cls, trial: Path) -> Outcome:
        """The outcome in a Trial artifact."""
        return cls.of(read_json(trial / "trial.json"))

    @property
    def figures(self) -> dict[str, float]:
        """What was measured, by name."""
        costs = {} if self.costs is None else dataclasses.asdict(self.costs)
        accuracy = {} if self.accuracy is None else {"accuracy": self.accuracy}
        return {**accuracy, **{name: float(value) for name, value in costs.items()}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """A candidate with its outcome; `number` counts from 0."""

    number: int
    architecture: str
    widths: tuple[int, ...]
    outcome: Outcome


def beaten_by(
    costs: Costs, accuracies: Sequence[float], rivals: Sequence[Rival], lag: float
) -> Rival | None:
    """The rival that takes no more and was more than `lag` better after as many epochs, if any."""
    done = len(accuracies)
    for rival in rivals:
        if (
            len(rival.accuracies) >= done
            and rival.costs.within(costs)
            and rival.accuracies[done - 1] > accuracies[-1] + lag
        ):
            return rival
    return None


def front(finished: Sequence[Finished]) -> list[Finished]:
    """The complete ones that no other betters in one thing and equals in all (Pareto), in order."""
    points = {
        trial.number: (-trial.outcome.accuracy, *dataclasses.astuple(trial.outcome.costs))
        for trial in finished
        if trial.outcome.accuracy is not None and trial.outcome.costs is not None
    }

    def bettered(point: tuple[float, ...]) -> bool:
        return any(
            other != point and all(a <= b for a, b in zip(other, point, strict=True))
            for other in points.values()
        )

    return [t for t in finished if t.number in points and not bettered(points[t.number])]


def choose(finished: Sequence[Finished]) -> Finished | None:
    """The smallest file among those within a point of the most accurate; None if none is complete."""
    complete = [(t.outcome.accuracy or 0.0, t) for t in front(finished)]
    if not complete:
        return None
    best = max(accuracy for accuracy, _ in complete)
    near = [(a, t) for a, t in complete if a >= best - _WORTH]

    def size(item: tuple[float, Finished]) -> tuple[float, ...]:
        accuracy, trial = item
        assert trial.outcome.costs is not None
        return (*dataclasses.astuple(trial.outcome.costs), -accuracy)

    return min(near, key=size)[1]
