"""What is due in a repository: which role expires when, and who must sign what."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Role, Root, Signed

from fleet.repository.root_keys import RootKeys
from fleet.repository.state import load, load_root


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoleStatus:
    """One role.

    Attributes:
        role: its name.
        version: of its metadata.
        expires: when devices stop to accept it, ISO 8601.
        days_left: until then; negative if it is past.
        threshold: signatures that it needs.
        keys: ids of the keys that may sign it.
        at_hand: ids of those that can sign here.
    """

    role: str
    version: int
    expires: str
    days_left: float
    threshold: int
    keys: tuple[str, ...]
    at_hand: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiting:
    """A root that waits for signatures: how many of the former root's keys and of its own, and whose."""

    draft: str
    missing: tuple[int, int]
    unsigned: tuple[str, ...]


def roles(folder: Path, now: datetime) -> list[RoleStatus]:
    """Every role of the repository at `folder`.

    Raises:
        RepositoryError: if its metadata is not what its keys signed.
    """
    root = load_root(folder)
    state = load(folder, root)
    keys = RootKeys(folder, clock=lambda: now).keys
    signed_by: list[tuple[str, Role, Signed]] = [
        (signed.type, root.roles[signed.type], signed)
        for signed in (root, state.targets, state.snapshot, state.timestamp)
    ]
    delegations = state.targets.delegations
    delegated = (delegations.roles if delegations else None) or {}
    signed_by += [(name, delegated[name], family) for name, family in state.families.items()]
    found = []
    for name, role, signed in signed_by:
        here = keys.at_hand(name)
        found.append(
            RoleStatus(
                role=name,
                version=signed.version,
                expires=signed.expires.isoformat(),
                days_left=round((signed.expires - now).total_seconds() / 86_400, 1),
                threshold=role.threshold,
                keys=tuple(role.keyids),
                at_hand=tuple(keyid for keyid in role.keyids if keyid in here),
            )
        )
    return found


def waiting(folder: Path, now: datetime) -> Waiting | None:
    """The root that waits for signatures at the repository at `folder`, if there is one.

    Raises:
        RepositoryError: if it cannot be read.
    """
    draft = RootKeys(folder, clock=lambda: now).draft()
    if draft is None:
        return None
    path, made = draft
    former: Root = load_root(folder)
    found = made.signed.get_root_verification_result(former, made.signed_bytes, made.signatures)
    return Waiting(
        draft=str(path),
        missing=(found.first.missing, found.second.missing),
        unsigned=tuple(sorted({*found.first.unsigned, *found.second.unsigned})),
    )
