"""What an operator decides before a rollout: its groups, their thresholds, and when it may touch devices.

A plan comes from a person or a program as JSON, so reading one trusts nothing: every field is checked
for its type and bounds, and an unknown one is an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.rollout.checks import bounded, check
from fleet.rollout.errors import PlanError
from fleet.rollout.filters import Filter
from fleet.rollout.quality import Quality

MAX_GROUPS = 50
MAX_LISTED = 10_000
_DAY = 86_400.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """Devices that are updated together, and what they must prove before the next group begins.

    A device belongs to the first group that takes it: by `devices`, by `matches`, or by `percent`.

    Attributes:
        name: what people call it.
        devices: ids of devices that belong to it whatever else holds.
        matches: a filter on attributes (`fleet.rollout.filters`); empty takes none.
        percent: share of the rollout's devices, by a stable hash of their ids (0 to 100). Shares of
            several groups add up; those of 100 in all take every device.
        success_threshold: share (0 to 1) of the expected devices that must succeed.
        error_threshold: share (0 to 1) of failures and time-outs above which the rollout halts.
        minimum_sample: devices that must have decided before the group can be done; failures are
            counted against at least so many.
        exposure: devices that may be touched without having succeeded yet, at any time.
        ramp: that many times the successes may be touched without having succeeded, if it is more.
        patience_s: seconds after its beginning for which devices that do not poll are waited for.
        bake_s: least seconds from its beginning until the next group's, for telemetry to come.
    """

    name: str
    devices: tuple[str, ...] = ()
    matches: str = ""
    percent: float = 0.0
    success_threshold: float = 0.9
    error_threshold: float = 0.1
    minimum_sample: int = 10
    exposure: int = 50
    ramp: float = 1.0
    patience_s: float = 7 * _DAY
    bake_s: float = 0.0

    def __post_init__(self) -> None:
        check(0 < len(self.name) <= 64, "name", "give it 1 to 64 characters")
        check(len(self.devices) <= MAX_LISTED, "devices", f"list at most {MAX_LISTED}")
        Filter.parse(self.matches)
        bounded("percent", self.percent, 0, 100)
        bounded("success_threshold", self.success_threshold, 0, 1)
        bounded("error_threshold", self.error_threshold, 0, 1)
        bounded("minimum_sample", self.minimum_sample, 1, 1_000_000)
        bounded("exposure", self.exposure, 1, 10_000_000)
        bounded("ramp", self.ramp, 0, 1000)
        bounded("patience_s", self.patience_s, 1, 3650 * _DAY)
        bounded("bake_s", self.bake_s, 0, 3650 * _DAY)
        check(
            bool(self.devices or self.matches or self.percent),
            f"groups: {self.name}",
            "it takes no device: give devices, matches or percent",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A rollout's groups in their order, and its bounds.

    Attributes:
        groups: the canary first, then the waves.
        target: a filter that devices of any group must match, but for listed ones; empty takes all.
        time_out_s: seconds after a device was shown its action at which, still open, it times out.
        not_before: moment (seconds since 1970) before which no device is touched.
        not_after: moment after which no further device is touched; None for ever.
        late_joiners: ``take``: a device that appears later gets the release; ``leave``: it does not.
        quality: what is asked of devices' telemetry; devices that send none are not judged.
    """

    groups: tuple[Group, ...]
    target: str = ""
    time_out_s: float = 6 * 3600.0
    not_before: float = 0.0
    not_after: float | None = None
    late_joiners: str = "take"
    quality: Quality = dataclasses.field(default_factory=Quality)

    def __post_init__(self) -> None:
        check(0 < len(self.groups) <= MAX_GROUPS, "groups", f"give 1 to {MAX_GROUPS}")
        names = [group.name for group in self.groups]
        check(len(set(names)) == len(names), "groups", "give each a name of its own")
        total = sum(group.percent for group in self.groups)
        check(total <= 100.000001, "groups", f"their percent add up to {total:g}: at most 100")
        Filter.parse(self.target)
        bounded("time_out_s", self.time_out_s, 1, 3650 * _DAY)
        bounded("not_before", self.not_before, 0, 1e12)
        if self.not_after is not None:
            bounded("not_after", self.not_after, 0, 1e12)
            check(self.not_before < self.not_after, "not_after", "it must follow not_before")
        check(self.late_joiners in ("take", "leave"), "late_joiners", "say take or leave")


def waves(canary: Group, shares: Sequence[float], like: Group | None = None) -> tuple[Group, ...]:
    """Groups: `canary`, then a wave for each of `shares`, the percentages reached after each.

    The last share should be 100, so that every device is in some group.

    Args:
        canary: the first group.
        shares: of all devices, in percent, each above the one before; ``(10, 100)`` makes a wave up to
            a tenth and one with the rest.
        like: thresholds for the waves; the canary's if None.

    Raises:
        PlanError: if the shares do not rise from the canary's percent to at most 100.
    """
    groups, reached = [canary], canary.percent
    for number, share in enumerate(shares, 1):
        check(reached < share <= 100, "waves", f"{share:g} must lie above {reached:g}, up to 100")
        groups.append(
            dataclasses.replace(
                like or canary,
                name=f"wave-{number}",
                devices=(),
                matches="",
                percent=share - reached,
            )
        )
        reached = share
    return tuple(groups)


def parse_shares(words: Sequence[str], canary: float) -> tuple[float, ...]:
    """The shares of `waves` as a person writes them: ``10 25 100``, or ``x4`` for four times as many each.

    Args:
        words: the numbers, or the one factor.
        canary: percent of the canary; where it takes listed devices alone (0), a factor begins with 1.

    Raises:
        PlanError: if a word is no number, or the factor is below 1.1.
    """
    try:
        if len(words) == 1 and words[0].startswith("x"):
            factor = float(words[0].removeprefix("x"))
            check(1.1 <= factor <= 1000, "waves", f"x{factor:g}: give a factor of 1.1 to 1000")
            shares = [canary * factor if canary else 1.0]
            while shares[-1] < 100:
                shares.append(shares[-1] * factor)
            return (*shares[:-1], 100.0)
        return tuple(float(word) for word in words)
    except ValueError:
        raise PlanError(f"waves: {' '.join(words)[:80]}: give numbers, or x4 for example") from None


def encode(plan: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    return dataclasses.asdict(plan)


def decode(value: Any) -> Plan:
    """The plan that `value`, read from JSON, describes.

    Raises:
        PlanError: if it is none; the message names the field.
    """
    fields = _fields(Plan, value, "plan")
    groups: Any = fields["groups"]
    check(isinstance(groups, list | tuple), "groups", "give a list")
    check(len(groups) <= MAX_GROUPS, "groups", f"give at most {MAX_GROUPS}")
    fields["groups"] = tuple(Group(**_fields(Group, group, "group")) for group in groups)
    if "quality" in fields:
        fields["quality"] = Quality(**_fields(Quality, fields["quality"], "quality"))
    return Plan(**fields)


_REQUIRED = {Plan: "groups", Group: "name"}
_TEXTS = ("name", "matches", "target", "late_joiners")
_LISTS = ("devices", "metrics", "slices")
_WHOLE = ("minimum_sample", "exposure")


def _fields(kind: type[Plan | Group | Quality], value: Any, what: str) -> dict[str, Any]:
    check(isinstance(value, Mapping), what, "give an object")
    known = {field.name: field for field in dataclasses.fields(kind)}
    for name in value:
        check(name in known, str(name)[:40], f"unknown; a {what} has {', '.join(known)}")
    required = _REQUIRED.get(kind)
    check(required is None or required in value, str(required), f"a {what} needs it")
    fields = dict(value)
    for name, given in fields.items():
        if name in _TEXTS:
            check(isinstance(given, str), name, "give a text")
        elif name in _LISTS:
            check(
                isinstance(given, list | tuple) and all(isinstance(v, str) for v in given),
                name,
                "give a list of texts",
            )
            fields[name] = tuple(given)
        elif name in _WHOLE:
            check(type(given) is int, name, "give a whole number")
        elif name not in ("groups", "quality") and not (name == "not_after" and given is None):
            check(type(given) in (int, float), name, "give a number")
    return fields
