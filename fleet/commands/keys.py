"""``python -m fleet keys``: who may sign what in an update repository."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.commands.fleet_arguments import tell

if TYPE_CHECKING:
    from fleet.repository.root_keys import RootKeys, Signing

NAME = "keys"
SUMMARY = "who may sign what: init, new, hold, delegate, add, rotate, revoke, renew, sign"
DESCRIPTION = """\
Looks after the keys of an update repository. Keys at hand lie in the folder keys/ beside it; root and
targets keys of a fleet belong on other machines. Each change makes a new root, which needs enough keys of
the former root and of its own: where those at hand are not enough, it waits in draft/ beside the
repository, to be carried to the other machines and signed there. $EDGE_KEY_PASSPHRASE encrypts the key
files that are written, and opens those that are read. A family of models may have keys of its own, which
the targets keys name."""
EXAMPLES = """\
  python -m fleet keys init --repository R
      a repository, and a key for each role
  python -m fleet keys new anna.pem
      a key pair, on the machine where it is to stay: anna.pem and anna.pem.pub
  python -m fleet keys hold "hsm:2?label=anna" anna.json
      the same for a key on a PKCS#11 token ($PYKCS11LIB, $EDGE_KEY_PIN); or awskms:KEY
  python -m fleet keys add targets --held anna.json --repository R
      the publisher signs with it; `keys sign DRAFT --key anna.json` on another machine
  python -m fleet keys add root --public anna.pem.pub --threshold 2 --repository R
      from now on the root needs two signatures
  python -m fleet keys sign draft/3.root.json --key anna.pem
      add a signature, on Anna's machine
  python -m fleet keys sign --repository R
      add those of the keys at hand, and publish the root if it has enough

  python -m fleet keys delegate pumps --repository R
      from now on releases of pumps have a key of their own; that of targets may be taken off line

after a theft:
  python -m fleet keys rotate timestamp --repository R      the thief's signatures count no more
  python -m fleet keys revoke targets 1f3a --repository R   the same for a key that is not here
  python -m fleet keys renew --repository R                 sign the root again before it expires

Exit code 3: a root waits for signatures; the output says whose."""

_ROLES = ("root", "targets", "snapshot", "timestamp")
_WAITS = 3


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    form: dict[str, Any] = {"allow_abbrev": False, "inherited_absl_flags": None}
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, text: str) -> Any:
        made = actions.add_parser(name, help=text, description=text, **form)
        if name not in ("new", "hold"):
            made.add_argument(
                "--repository", type=Path, metavar="R", required=name != "sign",
                help="folder of the repository",
            )  # fmt: skip
        made.add_argument("--json", action="store_true", help="JSON on stdout")
        if name in ("add", "rotate", "revoke"):
            made.add_argument("role", help=f"{', '.join(_ROLES)}, or a family of models")
        return made

    action("init", "make a repository, and a key for each role")
    action("new", "make a key pair").add_argument("file", type=Path, metavar="FILE")
    hold = action("hold", "write a file that leads to a key on a token or in a cloud's key service")
    hold.add_argument("uri", metavar="URI", help="hsm:ID?label=TOKEN, or awskms:KEY")
    hold.add_argument("file", type=Path, metavar="FILE.json")
    delegate = action("delegate", "give a family of models keys of its own")
    delegate.add_argument("role", metavar="NAME", help="of its releases")
    delegate.add_argument("--held", type=Path, metavar="FILE.json", help="key held elsewhere")
    add = action("add", "let one more key sign for a role")
    which = add.add_mutually_exclusive_group()
    which.add_argument(
        "--public", type=Path, metavar="FILE.pub", help="this one; default: a new one"
    )
    which.add_argument(
        "--held", type=Path, metavar="FILE.json", help="this one, held elsewhere, to sign here too"
    )
    add.add_argument("--threshold", type=int, metavar="N", help="signatures that the role needs")
    action("rotate", "replace the keys of a role that are at hand")
    action("revoke", "take a key's right to sign").add_argument("keyid", metavar="KEYID")
    action("renew", "sign the root anew as it is")
    sign = action("sign", "sign a root that waits")
    sign.add_argument("draft", type=Path, nargs="?", metavar="DRAFT", help="the root that waits")
    sign.add_argument("--key", type=Path, metavar="FILE", help="private key to sign DRAFT with")


def run(arguments: argparse.Namespace) -> int:
    """Does what is asked of the keys; 3 if a root waits for signatures."""
    from datetime import UTC, datetime

    from fleet.repository import root_keys
    from fleet.repository.errors import KeysError

    if arguments.action == "new":
        public_file = root_keys.new_key(arguments.file)
        made = {"file": str(arguments.file), "public": str(public_file)}
        tell(arguments, made, f"made {arguments.file} and {public_file}")
        return 0
    if arguments.action == "hold":
        public_file = root_keys.hold_key(arguments.uri, arguments.file)
        made = {"file": str(arguments.file), "public": str(public_file)}
        tell(arguments, made, f"made {arguments.file}, which leads to the key, and {public_file}")
        return 0
    if arguments.action == "init":
        folder = root_keys.initialise(arguments.repository).folder
        trusted = f"{folder}/metadata/1.root.json"
        made = {"repository": str(folder), "root": trusted}
        tell(arguments, made, f"made {folder}; devices trust {trusted}")
        return 0
    if arguments.action == "sign" and arguments.repository is None:
        if arguments.draft is None or arguments.key is None:
            raise KeysError("keys sign: give DRAFT and --key, or --repository")
        signer = root_keys.sign_draft(arguments.draft, arguments.key)
        tell(arguments, {"draft": str(arguments.draft), "signed_by": signer}, f"signed by {signer}")
        return 0
    if arguments.action == "delegate" or getattr(arguments, "role", _ROLES[0]) not in _ROLES:
        keyid, text = _change_family(arguments)
        tell(arguments, {"role": arguments.role, "key": keyid}, text)
        return 0
    keys = root_keys.RootKeys(arguments.repository, clock=lambda: datetime.now(UTC))
    signing = _change(keys, arguments)
    if signing.draft is None:
        done = {"root": signing.version, "waits": False}
        tell(arguments, done, f"published root {signing.version}")
        return 0
    former, own = signing.missing
    tell(
        arguments,
        {
            "root": signing.version,
            "waits": True,
            "draft": str(signing.draft),
            "missing": {"former": former, "own": own},
            "unsigned": list(signing.unsigned),
        },
        f"root {signing.version} waits in {signing.draft}: {former} more signatures of the former "
        f"root's keys and {own} of its own are needed, from among "
        f"{', '.join(keyid[:8] for keyid in signing.unsigned)}",
    )
    return _WAITS


def _change_family(arguments: argparse.Namespace) -> tuple[str, str]:
    """Changes the keys of a family of models; gives the key's id, and what came of it in words."""
    from datetime import UTC, datetime

    from fleet.repository.errors import KeysError
    from fleet.repository.families import Families

    families = Families(arguments.repository, clock=lambda: datetime.now(UTC))
    name = arguments.role
    match arguments.action:
        case "delegate":
            keyid = families.delegate(name, arguments.held)
            return keyid, f"{name} is signed by {keyid} from now on"
        case "rotate":
            keyid = families.rotate(name)
            return keyid, f"{name} is signed by {keyid} from now on, and by no other key"
        case "revoke":
            families.revoke(name, arguments.keyid)
            return arguments.keyid, f"{name} is not signed by {arguments.keyid} any more"
        case _:
            if arguments.public or arguments.threshold:
                raise KeysError(
                    f"{name}: a family's releases are signed where they are made, by any one of its "
                    "keys: give --held, or nothing for a new key here"
                )
            keyid = families.add(name, arguments.held)
            return keyid, f"{name} is signed by {keyid} too"


def _change(keys: RootKeys, arguments: argparse.Namespace) -> Signing:
    from fleet.repository.keys import read_public

    match arguments.action:
        case "add" if arguments.held:
            return keys.add_held(arguments.role, arguments.held, arguments.threshold)
        case "add":
            public = read_public(arguments.public) if arguments.public else None
            return keys.add(arguments.role, public, arguments.threshold)
        case "rotate":
            return keys.rotate(arguments.role)
        case "revoke":
            return keys.revoke(arguments.role, arguments.keyid)
        case "renew":
            return keys.renew()
        case _:
            return keys.complete()
