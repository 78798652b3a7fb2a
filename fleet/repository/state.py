"""Reading a repository's metadata, each file verified before it is believed."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from tuf.api.exceptions import RepositoryError as TufError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from fleet.repository.errors import KeysError, RepositoryDamagedError

_S = TypeVar("_S", Snapshot, Targets, Timestamp)


@dataclasses.dataclass(frozen=True)
class State:
    """The metadata that ``timestamp.json`` leads to.

    Attributes:
        families: by name, the lists of the releases that have keys of their own.
    """

    root: Root
    targets: Targets
    snapshot: Snapshot
    timestamp: Timestamp
    families: dict[str, Targets] = dataclasses.field(default_factory=dict)

    def holder(self, name: str) -> Targets:
        """The metadata that lists the releases called `name`."""
        return self.families.get(name, self.targets)


def load(folder: Path, root: Root) -> State:
    """The published state of the repository at `folder`, by the keys that `root` names.

    Raises:
        RepositoryDamagedError: if a file is missing or not what the repository's keys signed.
    """
    timestamp = _verified(folder, root, Timestamp, "timestamp.json", None)
    meta = timestamp.snapshot_meta
    snapshot = _verified(folder, root, Snapshot, f"{meta.version}.snapshot.json", meta)
    meta = snapshot.meta["targets.json"]
    targets = _verified(folder, root, Targets, f"{meta.version}.targets.json", meta)
    return State(root, targets, snapshot, timestamp, _load_families(folder, targets, snapshot))


def family_names(targets: Targets) -> list[str]:
    """The lines of releases that have keys of their own, by what `targets` delegates."""
    roles = targets.delegations.roles if targets.delegations else None
    return list(roles or {})


def _load_families(folder: Path, targets: Targets, snapshot: Snapshot) -> dict[str, Targets]:
    families = {}
    for name in family_names(targets):
        file = f"{name}.json"
        if file not in snapshot.meta:
            raise damaged(folder / "metadata" / file, "it is delegated to, and not listed")
        meta = snapshot.meta[file]
        families[name] = _verified(folder, targets, Targets, f"{meta.version}.{file}", meta, name)
    return families


def load_root(folder: Path) -> Root:
    """The newest root metadata of the repository at `folder`, expired or not.

    Raises:
        RepositoryDamagedError: if it is missing or not signed by its own keys.
    """
    roots = trust_roots(folder)
    path = folder / "metadata" / f"{max(1, len(roots))}.root.json"
    if not roots and not path.parent.is_dir():
        raise RepositoryDamagedError(
            f"{folder}: no repository here: check --repository, or make one with "
            "`python -m fleet keys init`"
        )
    if not roots:
        raise damaged(path, "it is missing")
    try:
        loaded = Metadata[Root].from_bytes(roots[-1])
        loaded.signed.verify_delegate(Root.type, loaded.signed_bytes, loaded.signatures)
    except TufError as e:
        raise damaged(path, str(e)) from e
    return loaded.signed


def check_fresh(folder: Path, root: Root, now: datetime) -> None:
    """Refuses to build on a root that no device accepts any more.

    Raises:
        KeysError: if it is expired at `now`.
    """
    if root.is_expired(now):
        raise KeysError(
            f"{folder / 'metadata' / f'{root.version}.root.json'}: expired on "
            f"{root.expires:%Y-%m-%d}; no device accepts releases under it: sign it again with "
            "`python -m fleet keys renew`"
        )


def trust_roots(folder: Path) -> list[bytes]:
    """Every version of the root metadata of the repository at `folder`, oldest first."""
    roots: list[bytes] = []
    while (path := folder / "metadata" / f"{len(roots) + 1}.root.json").is_file():
        roots.append(path.read_bytes())
    return roots


def _verified(
    folder: Path,
    delegator: Root | Targets,
    type_: type[_S],
    file: str,
    meta: MetaFile | None,
    role: str = "",
) -> _S:
    path = folder / "metadata" / file
    try:
        data = path.read_bytes()
        if meta is not None:
            meta.verify_length_and_hashes(data)
        loaded = Metadata[_S].from_bytes(data)
        delegator.verify_delegate(role or type_.type, loaded.signed_bytes, loaded.signatures)
    except OSError as e:
        raise damaged(path, str(e.strerror)) from e
    except TufError as e:
        raise damaged(path, str(e)) from e
    return loaded.signed


def damaged(path: Path, what: str) -> RepositoryDamagedError:
    """The error that says what is wrong with the metadata file `path`."""
    return RepositoryDamagedError(
        f"{path}: cannot be trusted ({what}): restore the repository's metadata from a backup"
    )
