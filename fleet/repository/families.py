"""Model families with keys of their own: who releases one can release no other.

The targets role delegates ``NAME/`` to a role called NAME. From then on the releases of NAME are signed by
its keys alone, and the targets keys may be taken off line. What was released of it before moves along. The
keys of a family are changed by the targets role, so a stolen one is put right without a new root.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.metadata import DelegatedRole, Delegations, Targets

from fleet.repository.errors import KeysError
from fleet.repository.files import write_whole
from fleet.repository.keys import ROLES
from fleet.repository.releases import check_name
from fleet.repository.state import State, check_fresh, family_names, load, load_root
from fleet.repository.workshop import Workshop


class Families(Workshop):
    """The model families of a repository, which is there already, that have keys of their own."""

    def delegate(self, name: str, held: Path | None = None) -> str:
        """Gives the family `name` a key: the one that the file `held` leads to, or a new one here.

        Returns:
            The key's id.

        Raises:
            KeysError: if it has one, or the targets keys are not at hand.
        """
        check_name(name)
        if name in ROLES:
            raise KeysError(f"{name}: is a role of its own: choose from the names of releases")
        with self._loaded() as state:
            if name in state.families:
                raise KeysError(
                    f"{name}: has keys of its own: rotate or revoke them, or add others"
                )
            public = self._key(name, held)
            delegations = state.targets.delegations or Delegations({}, roles={})
            assert delegations.roles is not None
            delegations.roles[name] = DelegatedRole(
                name, [], 1, terminating=True, paths=[f"{name}/*", f"{name}/*/*"]
            )
            state.targets.delegations = delegations
            state.targets.add_key(public, name)
            state.families[name] = self._moved(state.targets, name)
            self._publish(state, name)
        return public.keyid

    def add(self, name: str, held: Path | None = None) -> str:
        """Lets one more key sign for the family `name`; gives its id.

        Raises:
            KeysError: if it has no keys of its own, or the targets keys are not at hand.
        """
        with self._loaded() as state:
            _check_family(state, name)
            public = self._key(name, held)
            state.targets.add_key(public, name)
            self._publish(state, name)
        return public.keyid

    def rotate(self, name: str) -> str:
        """Puts a new key here in the place of all that the family `name` has; gives its id.

        Raises:
            KeysError: see `add`.
        """
        with self._loaded() as state:
            old = list(_check_family(state, name).keyids)
            public = self.keys.add(name)
            state.targets.add_key(public, name)
            for keyid in old:
                state.targets.revoke_key(keyid, name)
            self._publish(state, name)
        return public.keyid

    def revoke(self, name: str, keyid: str) -> None:
        """Takes the right to sign for the family `name` from the key whose id begins with `keyid`.

        Raises:
            KeysError: if no key or more than one is meant, none would be left, or see `add`.
        """
        with self._loaded() as state:
            known = _check_family(state, name).keyids
            found = [one for one in known if one.startswith(keyid)]
            if len(found) != 1 or not keyid:
                listed = ", ".join(one[:8] for one in known)
                raise KeysError(f"{keyid!r} means no single key of {name}: choose from {listed}")
            if len(known) == 1:
                raise KeysError(f"{name} would have no key left: rotate it, or add another first")
            state.targets.revoke_key(found[0], name)
            self._publish(state, name)

    def _key(self, name: str, held: Path | None) -> Key:
        return self.keys.add(name) if held is None else self.keys.hold(name, held)

    def _moved(self, targets: Targets, name: str) -> Targets:
        """What `targets` lists of the family, taken out of it."""
        moved = Targets(expires=self.clock())
        for path in [path for path in targets.targets if path.startswith(f"{name}/")]:
            moved.targets[path] = targets.targets.pop(path)
        return moved

    def _publish(self, state: State, name: str) -> None:
        family = state.families[name]
        for part in (state.targets, family):
            part.version += 1
            part.expires = self.clock() + self.lifetimes.targets
        state.snapshot.version += 1
        state.timestamp.version += 1
        for file, data in [
            self.sealer.list_family(state, name),
            *self.sealer.seal_targets(state),
        ]:
            write_whole(file, data)

    @contextlib.contextmanager
    def _loaded(self) -> Iterator[State]:
        with self.locked():
            root = load_root(self.folder)
            check_fresh(self.folder, root, self.clock())
            yield load(self.folder, root)


def _check_family(state: State, name: str) -> DelegatedRole:
    delegations = state.targets.delegations
    roles = (delegations.roles if delegations else None) or {}
    if name not in roles:
        known = ", ".join((*ROLES, *family_names(state.targets)))
        raise KeysError(
            f"{name}: has no keys of its own: choose from {known}, or give it some with `keys delegate`"
        )
    return roles[name]
