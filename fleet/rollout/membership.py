"""Which group of a plan a device belongs to: the same answer each time, and for a late joiner too."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fleet.rollout.filters import Filter
from fleet.rollout.plan import Plan


class Membership:
    """Sorts devices into the groups of a plan.

    Args:
        plan: whose groups.
        salt: parts the draws of different rollouts, so that not always the same devices are canaries.
    """

    def __init__(self, plan: Plan, salt: str) -> None:
        self._salt = salt
        self._target = Filter.parse(plan.target)
        self._listed = {
            device: index
            for index, group in reversed(list(enumerate(plan.groups)))
            for device in group.devices
        }
        self._filters = [
            (index, Filter.parse(group.matches))
            for index, group in enumerate(plan.groups)
            if group.matches.strip()
        ]
        self._ends: list[tuple[float, int]] = []
        reached = 0.0
        for index, group in enumerate(plan.groups):
            if group.percent:
                reached += group.percent
                self._ends.append((reached if reached < 99.9999 else 100.0, index))

    def group_of(self, device: str, attributes: Mapping[str, str]) -> int | None:
        """The index of the group that the device belongs to; None if it is not in the rollout."""
        if device in self._listed:
            return self._listed[device]
        if not self._target.holds(device, attributes):
            return None
        for index, filter_ in self._filters:
            if filter_.holds(device, attributes):
                return index
        drawn = self.draw(device)
        return next((index for end, index in self._ends if drawn < end), None)

    def draw(self, device: str) -> float:
        """A number from 0 to below 100, evenly spread over ids."""
        digest = hashlib.blake2b(f"{self._salt}/{device}".encode(), digest_size=6).digest()
        return int.from_bytes(digest) * 100 / 2**48
