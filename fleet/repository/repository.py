"""A TUF repository in a folder: ``metadata/`` and ``targets/``, with consistent snapshots.

The rules that keep it whole:

* What is released is what ``timestamp.json`` leads to, by version and hash. Everything else in the
  folder is either history or was never published.
* A write goes in TUF's order, so each file appears after all that it names: bundle and deltas, then
  ``N.targets.json``, ``N.snapshot.json`` and, last, ``timestamp.json``. All are signed before the
  first is written; each is written aside, synced and renamed. Killed in between, the repository
  still leads to its former state, and the next publisher writes over what was never published.
* Metadata is verified before it is built upon: tampered metadata is never signed again.

Specification: https://theupdateframework.github.io/specification/latest/ (sections 3, 4 and 6.2).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Unpack

from tuf.api.metadata import (
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from edge_agent.bundle import archive
from fleet.repository.deltas import Delta, drop_deltas, list_deltas, make_deltas, newest
from fleet.repository.errors import ReleaseError, RepositoryDamagedError
from fleet.repository.files import write_whole
from fleet.repository.keys import ROLES
from fleet.repository.releases import (
    Release,
    check_name,
    choose_version,
    highest,
    make_target,
    read_releases,
)
from fleet.repository.sealing import File
from fleet.repository.state import State, check_fresh, damaged, load, load_root, trust_roots
from fleet.repository.workshop import Settings, Workshop

_FIRST_FILES = {"1.root.json", "1.targets.json", "1.snapshot.json"}


def refresh(folder: Path) -> datetime:
    """Signs snapshot and timestamp of the repository at `folder` again; gives their new expiry.

    Raises:
        RepositoryError: if there is no repository, or it cannot be signed.
    """
    return Repository(folder).refresh()


class Repository(Workshop):
    """The repository at `folder`, made there with development keys when first published to.

    Args:
        folder: holds ``metadata/`` and ``targets/``; what a web server may serve.
        deltas: from how many of the newest releases a new one gets deltas, and of how many they
            stay listed.
        settings: those of `Workshop`.
    """

    def __init__(self, folder: Path, *, deltas: int = 3, **settings: Unpack[Settings]) -> None:
        super().__init__(folder, **settings)
        self._deltas = deltas

    def start(self) -> None:
        """Makes the repository, empty, where there is none yet.

        Raises:
            RepositoryError: if it cannot be made.
        """
        with self.locked():
            if not self.published():
                self._create()

    def publish(self, name: str, bundle_path: Path, version: str | None, workload: str) -> Release:
        """Releases the bundle at `bundle_path` as the `version` (None: the next patch) of `name`.

        A bundle that is already released under `name` is not released again: its release is given
        back, with `new` false, and snapshot and timestamp are signed afresh.

        Raises:
            BundleError: if the file is not a bundle.
            ReleaseError: for a name or version against the rules, or a bundle of other workload.
            RepositoryError: if the repository or its keys cannot be used.
        """
        check_name(name)
        bundle = archive.read(bundle_path)
        if bundle.manifest.workload != workload:
            raise ReleaseError(
                f"{bundle_path}: made for the workload {bundle.manifest.workload}, not {workload}: "
                "release the bundle that belongs to this workload"
            )
        with self.locked():
            state = self._load() if self.published() else self._create()
            holder = state.holder(name)
            released = read_releases(holder, name)
            same = next((r for r in released if r.digest == bundle.digest), None)
            if same is not None:
                self._renew(state)
                return same
            number = choose_version(released, version)
            release = Release(
                name=name,
                version=number,
                target=f"{name}/{name}-{number}.bundle",
                digest=bundle.digest,
                new=True,
            )
            data = bundle_path.read_bytes()
            target = make_target(release, bundle, data)
            if target.hashes["sha256"] != release.digest:
                raise ReleaseError(f"{bundle_path}: changed while it was read: release it again")
            holder.targets[release.target] = target
            deltas = self._list_deltas(holder, release, released, data)
            holder.version += 1
            holder.expires = self.clock() + self.lifetimes.targets
            files = [
                (self._target_path(target.path, target.hashes["sha256"]), content)
                for target, content in [(target, data), *((d.target, d.data) for d in deltas)]
            ]
            following = _next(state)
            own = name in state.families
            seal = self.sealer.seal_family(following, name) if own else None
            _write([*files, *(seal or self.sealer.seal_targets(following))])
        return release

    def refresh(self) -> datetime:
        """Signs snapshot and timestamp again, so that devices go on trusting an old repository.

        Returns:
            When the first of them expires.

        Raises:
            RepositoryError: if there is no repository, or it cannot be signed.
        """
        if not self.published():
            raise RepositoryDamagedError(f"{self.folder}: no repository here: publish to it first")
        with self.locked():
            state = self._load()
            self._renew(state)
        return min(state.snapshot.expires, state.timestamp.expires)

    def releases(self, name: str) -> list[Release]:
        """All releases called `name`; empty where nothing is published yet.

        Raises:
            RepositoryDamagedError: if the metadata is not what its keys signed.
        """
        if not self.published():
            return []
        return read_releases(self._load().holder(name), name)

    def latest(self, name: str) -> Release | None:
        """The release of `name` with the highest semantic version, if there is one.

        Raises:
            RepositoryDamagedError: if the metadata is not what its keys signed.
        """
        found = self.releases(name)
        return highest(found) if found else None

    def bundle_path(self, release: Release) -> Path:
        """Where the bundle of `release` lies.

        Raises:
            RepositoryDamagedError: if it is not there.
        """
        path = self._target_path(release.target, release.digest)
        if not path.is_file():
            raise RepositoryDamagedError(
                f"{path}: the bundle of {release.name} {release.version} is missing: restore it "
                "from a backup"
            )
        return path

    def trust_roots(self) -> list[bytes]:
        """Every version of the root metadata, oldest first; the last is what new devices get."""
        return trust_roots(self.folder)

    def _metadata(self, file: str) -> Path:
        return self.folder / "metadata" / file

    def _target_path(self, path: str, digest: str) -> Path:
        folder, _, file = path.rpartition("/")
        return self.folder / "targets" / folder / f"{digest}.{file}"

    def _list_deltas(
        self, targets: Targets, release: Release, released: list[Release], data: bytes
    ) -> list[Delta]:
        """Lists the deltas to `release` in `targets`, and none any more to releases long past."""
        near = newest(released, self._deltas)
        for past in released:
            if past not in near:
                drop_deltas(targets, past)
        bases = {
            r: path.read_bytes()
            for r in near
            if (path := self._target_path(r.target, r.digest)).is_file()
        }
        deltas = list(make_deltas(release, data, bases)) if self._deltas else []
        list_deltas(targets, release, deltas)
        return deltas

    def _root(self) -> Root:
        root = load_root(self.folder)
        check_fresh(self.folder, root, self.clock())
        return root

    def _load(self) -> State:
        return load(self.folder, self._root())

    def published(self) -> bool:
        """Whether there is a repository, be it with releases or without."""
        return self._metadata("timestamp.json").is_file()

    def _create(self) -> State:
        """Makes an empty repository, or goes on where its making was killed.

        Raises:
            RepositoryDamagedError: if more is there than a killed start leaves: starting again
                would forget releases.
        """
        left = {path.name for path in self._metadata("").glob("*.json")} - _FIRST_FILES
        if left:
            raise damaged(self._metadata("timestamp.json"), f"it is missing beside {min(left)}")
        keys = self.keys.create()
        if not self.trust_roots():
            root = Root(expires=self.clock() + self.lifetimes.root, consistent_snapshot=True)
            for role in ROLES:
                root.add_key(keys[role], role)
            _write([(self._metadata("1.root.json"), self.sealer.sign(root, root))])
        targets = Targets(expires=self.clock() + self.lifetimes.targets)
        state = State(self._root(), targets, Snapshot(), Timestamp())
        _write(self.sealer.seal_targets(state))
        return state

    def _renew(self, state: State) -> None:
        _write(self.sealer.seal(_next(state)))


def _next(state: State) -> State:
    state.snapshot.version += 1
    state.timestamp.version += 1
    return state


def _write(files: list[File]) -> None:
    for path, data in files:
        write_whole(path, data)
