"""Choosing among the releases that a repository offers: semantic versions, the highest first."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge_agent.update import errors
from edge_agent.update.offers import Offer

_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]{1,50}))?", re.ASCII)

_Order = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def version_order(version: str) -> _Order | None:
    """The key that sorts semantic versions (semver.org section 11); None if it is not one."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    major, minor, patch, prerelease = match.groups()
    identifiers = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part)
        for part in (prerelease or "").split(".")
    )
    return int(major), int(minor), int(patch), prerelease is None, identifiers


def choose(offers: Mapping[str, Offer], name: str, version: str | None) -> tuple[str, Offer]:
    """The target and offer of `name` with the wanted or, for None, the highest version.

    Raises:
        UnknownReleaseError: listing what is there.
    """
    orders = {
        target: order
        for target, offer in offers.items()
        if offer.name == name and (order := version_order(offer.version)) is not None
    }
    if not orders:
        names = sorted({offer.name for offer in offers.values()})
        raise errors.UnknownReleaseError(
            f"the repository holds no release called {name}: "
            + (f"choose from {', '.join(names[:20])}" if names else "it holds none at all yet")
        )
    ordered = sorted(orders, key=lambda target: orders[target])
    if version is None:
        return ordered[-1], offers[ordered[-1]]
    for target in ordered:
        if offers[target].version == version:
            return target, offers[target]
    known = ", ".join(offers[target].version for target in ordered[-20:])
    raise errors.UnknownReleaseError(f"there is no {name} {version}: choose from {known}")
