"""How the fields of a plan are held to their bounds."""

from __future__ import annotations

import math

from fleet.rollout.errors import PlanError


def check(holds: bool, field: str, advice: str) -> None:
    """Refuses the plan if something does not hold.

    Raises:
        PlanError: naming the field, with the advice.
    """
    if not holds:
        raise PlanError(f"{field}: {advice}")


def bounded(name: str, value: float, least: float, most: float) -> None:
    """Refuses the plan if a number is not within its bounds.

    Raises:
        PlanError: naming the field and the bounds.
    """
    check(math.isfinite(value) and least <= value <= most, name, f"give {least:g} to {most:g}")
