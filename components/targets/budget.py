"""Holds what a model costs against what a target has: pure."""

from __future__ import annotations

import dataclasses
import math

from components.targets.profile import Profile


@dataclasses.dataclass(frozen=True, kw_only=True)
class Need:
    """One limit of a target, and what a model needs of it.

    Attributes:
        what: ``arena``, ``flash``, ``macs`` or ``macs_per_second``.
        unit: of both figures.
        needed: None if it could not be measured, which does not fit.
        limit: the most that the target has.
        advice: what to change if it does not fit.
    """

    what: str
    unit: str
    needed: int | None
    limit: int
    advice: str

    @property
    def fits(self) -> bool:
        """Whether the target has as much as the model needs."""
        return self.needed is not None and self.needed <= self.limit


def needs(
    profile: Profile, *, arena_bytes: int | None, flash_bytes: int, macs: int
) -> tuple[Need, ...]:
    """The model against each limit that the profile sets."""
    budget = profile.budget
    each_second = math.ceil(macs * budget.inferences_per_second)
    figures = (
        ("arena", "bytes", arena_bytes, budget.arena_bytes, "fewer channels, or pool earlier"),
        ("flash", "bytes", flash_bytes, budget.flash_bytes, "fewer channels or layers"),
        ("macs", "MACs", macs, budget.macs, "fewer channels, or pool earlier"),
        (
            "macs_per_second",
            "MACs a second",
            each_second,
            budget.macs_per_second,
            "fewer channels, or fewer inferences a second",
        ),
    )
    return tuple(
        Need(what=what, unit=unit, needed=needed, limit=limit, advice=advice)
        for what, unit, needed, limit, advice in figures
        if limit is not None
    )
