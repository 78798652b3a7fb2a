"""Changing who may sign: new roots, and the ceremony in which keys on several machines sign them.

A new root counts when enough keys of the former root and of its own have signed it. Keys at hand sign
at once; where they are not enough, the root waits as a draft beside the repository, a plain TUF file
that can be carried to other machines and signed there (`sign_draft`). When it is whole it is published:

* everything else is signed anew first, by the keys of both roots, so that at every moment the metadata
  is valid for a device that has the former root and for one that has the new one;
* the root itself comes last. Killed before that, nothing has changed for anyone.

A role whose key was stolen is put right by `revoke` or `rotate`: what the thief signs is refused by
every device as soon as it sees the new root.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError as TufError
from tuf.api.metadata import Metadata, Root

from fleet.repository.errors import KeysError
from fleet.repository.files import write_whole
from fleet.repository.held_keys import hold
from fleet.repository.keys import ROLES, read_signer, write_key, write_public
from fleet.repository.repository import Repository
from fleet.repository.sealing import sign
from fleet.repository.state import load, load_root
from fleet.repository.workshop import Workshop


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signing:
    """How far a new root has come.

    Attributes:
        version: of the new root.
        missing: signatures still needed from the keys of the former root, and from its own.
        unsigned: ids of the keys that could give them.
        draft: where it waits; None once it is published.
    """

    version: int
    missing: tuple[int, int]
    unsigned: tuple[str, ...]
    draft: Path | None


class RootKeys(Workshop):
    """The keys of a repository, which is there already, and the changes to them."""

    def add(self, role: str, public: Key | None, threshold: int | None) -> Signing:
        """Lets one more key sign for `role`: `public`, or a new one in the folder of keys.

        Raises:
            KeysError: if the threshold is more than there are keys, or a key cannot be used.
        """
        _check_role(role)

        def change(root: Root) -> None:
            root.add_key(public or self.keys.add(role), role)
            if threshold is not None:
                root.roles[role].threshold = threshold

        return self._change(change)

    def add_held(self, role: str, file: Path, threshold: int | None) -> Signing:
        """Lets the key that `file` leads to, held elsewhere, sign for `role`, and sign here.

        Raises:
            KeysError: if the file leads to no key, or the threshold is more than there are keys.
        """
        _check_role(role)
        return self.add(role, self.keys.hold(role, file), threshold)

    def revoke(self, role: str, keyid: str) -> Signing:
        """Takes the right to sign for `role` from the key whose id begins with `keyid`.

        Raises:
            KeysError: if no key or more than one is meant, or too few would be left.
        """
        _check_role(role)

        def change(root: Root) -> None:
            found = [known for known in root.roles[role].keyids if known.startswith(keyid)]
            if len(found) != 1 or not keyid:
                known = ", ".join(keyid[:8] for keyid in root.roles[role].keyids)
                raise KeysError(f"{keyid!r} means no single key of {role}: choose from {known}")
            root.revoke_key(found[0], role)

        return self._change(change)

    def rotate(self, role: str) -> Signing:
        """Puts a new key in the folder of keys in the place of each key of `role` that is there.

        Raises:
            KeysError: if none is there, or a key cannot be used.
        """
        _check_role(role)

        def change(root: Root) -> None:
            here = self.keys.in_files(role)
            old = [keyid for keyid in root.roles[role].keyids if keyid in here]
            if not old:
                raise KeysError(
                    f"{self.keys.folder}: holds no key of {role} in a file: rotate where its key is, "
                    "or revoke it and add another"
                )
            for keyid in old:
                root.add_key(self.keys.add(role), role)
                root.revoke_key(keyid, role)

        return self._change(change)

    def renew(self) -> Signing:
        """Signs the root anew as it is, before or after it expires."""
        return self._change(lambda root: None)

    def complete(self) -> Signing:
        """Adds the signatures of the keys at hand to the draft, and publishes it if it is whole.

        Raises:
            KeysError: if no draft waits, or it does not follow the present root.
        """
        with self.locked():
            former = load_root(self.folder)
            path = self._draft(former.version + 1)
            return self._settle(former, read_draft(path))

    def draft(self) -> tuple[Path, Metadata[Root]] | None:
        """The draft that waits for signatures, if there is one."""
        path = self._draft(load_root(self.folder).version + 1)
        return (path, read_draft(path)) if path.is_file() else None

    def _change(self, change: Callable[[Root], None]) -> Signing:
        with self.locked():
            former = load_root(self.folder)
            path = self._draft(former.version + 1)
            if path.is_file():
                raise KeysError(
                    f"{path}: another change waits for signatures: sign it, or remove the file"
                )
            root = copy.deepcopy(former)
            root.version += 1
            root.expires = self.clock() + self.lifetimes.root
            change(root)
            for role in ROLES:
                if not 1 <= root.roles[role].threshold <= len(root.roles[role].keyids):
                    raise KeysError(
                        f"{role} would have {len(root.roles[role].keyids)} keys and need "
                        f"{root.roles[role].threshold} of them: add keys first, or choose another "
                        "threshold"
                    )
            return self._settle(former, Metadata(root))

    def _settle(self, former: Root, made: Metadata[Root]) -> Signing:
        root = made.signed
        if root.version != former.version + 1:
            raise KeysError(
                f"the draft has version {root.version}, and the present root {former.version}: make "
                "the change again"
            )
        self.sealer.add_signatures(made, Root.type, [former, root])
        path = self._draft(root.version)
        found = root.get_root_verification_result(former, made.signed_bytes, made.signatures)
        signing = Signing(
            version=root.version,
            missing=(found.first.missing, found.second.missing),
            unsigned=tuple(sorted({*found.first.unsigned, *found.second.unsigned})),
            draft=None if found.verified else path,
        )
        if not found.verified:
            write_whole(path, made.to_bytes())
            return signing
        state = dataclasses.replace(load(self.folder, former), root=root)
        for part in (state.targets, state.snapshot, state.timestamp):
            part.version += 1
        state.targets.expires = self.clock() + self.lifetimes.targets
        for file, data in self.sealer.seal_targets(state, former):
            write_whole(file, data)
        write_whole(self.sealer.path(f"{root.version}.root.json"), made.to_bytes())
        path.unlink(missing_ok=True)
        return signing

    def _draft(self, version: int) -> Path:
        return self.folder.parent / "draft" / f"{version}.root.json"


def initialise(folder: Path) -> Repository:
    """Makes the repository at `folder`, with a key a role, before anything is published to it.

    Raises:
        KeysError: if there is one already.
    """
    repository = Repository(folder)
    if repository.trust_roots():
        raise KeysError(f"{folder}: is a repository already: add, rotate or revoke its keys")
    repository.start()
    return repository


def hold_key(uri: str, path: Path) -> Path:
    """Writes to `path` what leads to the key at `uri`, and its public part beside it; gives that one's path.

    Raises:
        KeysError: see `fleet.repository.held_keys.hold`.
    """
    return write_public(path.with_name(f"{path.name}.pub"), hold(uri, path))


def new_key(path: Path) -> Path:
    """Makes a key in the file `path`, and its public part beside it; gives the latter's path.

    Raises:
        KeysError: if there is a file already.
    """
    if path.exists():
        raise KeysError(f"{path}: is there already: choose another name")
    signer = CryptoSigner.generate_ed25519()
    write_key(path, signer)
    return write_public(path.with_name(f"{path.name}.pub"), signer.public_key)


def sign_draft(path: Path, key: Path) -> str:
    """Adds the signature of the key in the file `key`, or held elsewhere, to the draft `path`; gives its id.

    Raises:
        KeysError: if either cannot be used.
    """
    draft, signer = read_draft(path), read_signer(key)
    sign(draft, signer)
    write_whole(path, draft.to_bytes())
    return signer.public_key.keyid


def read_draft(path: Path) -> Metadata[Root]:
    """A root that waits for signatures.

    Raises:
        KeysError: if there is none at `path`.
    """
    try:
        draft = Metadata[Root].from_bytes(path.read_bytes())
    except OSError as e:
        raise KeysError(f"{path}: no root waits here for signatures ({e.strerror})") from e
    except TufError as e:
        raise KeysError(f"{path}: no root waits here for signatures ({e})") from e
    if draft.signed.type != Root.type:
        raise KeysError(
            f"{path}: no root waits here for signatures (it is {draft.signed.type} metadata)"
        )
    return draft


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise KeysError(f"{role!r} is not a role: choose from {', '.join(ROLES)}")
