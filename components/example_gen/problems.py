"""What is wrong with a set of recordings, collected so that a person hears of all of it at once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from components.base import UserError

_SHOWN = 20


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """One thing that stops the run.

    Attributes:
        where: the file, relative to the recordings, or the label.
        what: what is wrong, as the rest of a sentence that starts with `where`.
        advice: what to do.
    """

    where: str
    what: str
    advice: str


class BadRecording(Exception):
    """A recording that cannot be used; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.where, problem.what)
        self.problem = problem


def user_error(root: Path, problems: Iterable[Problem], noun: str = "recordings") -> UserError:
    """One error that names the first 20 of `problems`, and counts them all by kind."""
    every = sorted(set(problems))
    lines = [f"{root}: {len(every)} problem{'s' if len(every) > 1 else ''} with the {noun}"]
    lines += [f"  {p.where}: {p.what}: {p.advice}" for p in every[:_SHOWN]]
    if len(every) > _SHOWN:
        lines.append(f"  and {len(every) - _SHOWN} more; by what to do:")
        kinds = Counter(p.advice for p in every)
        lines += [f"  {count} x {advice}" for advice, count in sorted(kinds.items())]
    return UserError("\n".join(lines))
