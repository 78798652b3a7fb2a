"""Keys that never leave where they are: on a PKCS#11 token, or in AWS's key service.

What is kept of one is a file that holds nothing secret, the address of the key and its public part:

    {"uri": "hsm:2?label=anna", "public": {"keyid": .., "keytype": .., ..}}

securesystemslib signs with it (its extras ``hsm`` and ``awskms``). The PIN of a token comes from
`$EDGE_KEY_PIN`, or is asked for; the module of a token is named by `$PYKCS11LIB`, and a cloud's credentials
are found where its own tools find them.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import (
    AWSSigner,
    HSMSigner,
    Key,
    Signer,
    SSlibKey,
)

from fleet.repository.errors import KeysError
from fleet.repository.files import write_whole

SUFFIX = ".json"
_Answer = TypeVar("_Answer")


def hold(uri: str, path: Path) -> Key:
    """Writes to `path` what is needed to sign with the key at `uri`; gives its public part.

    Raises:
        KeysError: if there is a file already, or the key cannot be had.
    """
    if path.suffix != SUFFIX or path.exists():
        raise KeysError(f"{path}: name a file that is not there yet and ends with {SUFFIX}")
    scheme = urlsplit(uri).scheme
    if scheme not in _IMPORTS:
        raise KeysError(f"{uri}: not the address of a key: give hsm:ID?label=TOKEN or awskms:KEY")
    address, public = _asked(uri, lambda: _IMPORTS[scheme](uri))
    content = {"uri": address, "public": {"keyid": public.keyid, **public.to_dict()}}
    write_whole(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())
    return public


def read_held(path: Path) -> Signer:
    """The signer that the file `path` leads to; nothing is asked of it yet.

    Raises:
        KeysError: if the file leads to none.
    """
    try:
        content = json.loads(path.read_bytes())
        uri, public = str(content["uri"]), dict(content["public"])
        key = SSlibKey.from_dict(public.pop("keyid"), public)
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise KeysError(
            f"{path}: does not lead to a key ({e}): make it with `python -m fleet keys hold`"
        ) from e
    if urlsplit(uri).scheme not in _IMPORTS:
        raise KeysError(f"{path}: {uri}: not the address of a key")
    return _asked(uri, lambda: Signer.from_priv_key_uri(uri, key, _pin))


def _from_token(uri: str) -> tuple[str, SSlibKey]:
    parts = urlsplit(uri)
    label = dict(parse_qsl(parts.query)).get("label")
    return HSMSigner.import_(int(parts.path) if parts.path else None, label, _pin)


def _path(uri: str) -> str:
    return urlsplit(uri).path


def _pin(secret: str) -> str:
    """The PIN of a token."""
    known = os.environ.get("EDGE_KEY_PIN", "")
    if known or not sys.stdin.isatty():
        return known
    return getpass.getpass(f"{secret}: ")


def _asked(uri: str, ask: Callable[[], _Answer]) -> _Answer:
    """What `ask` gives; anything that goes wrong there is a `KeysError` about `uri`."""
    try:
        return ask()
    except UnsupportedLibraryError as e:
        extra = urlsplit(uri).scheme
        raise KeysError(f"{uri}: {e}: pip install 'securesystemslib[{extra}]'") from e
    except Exception as e:  # tokens and clouds have errors of their own, and many
        raise KeysError(
            f"{uri}: cannot be used ({type(e).__name__}: {e}): check $PYKCS11LIB and $EDGE_KEY_PIN of a "
            "token, credentials and region of a cloud"
        ) from e


_IMPORTS: dict[str, Callable[[str], tuple[str, SSlibKey]]] = {
    "hsm": _from_token,
    "awskms": lambda uri: AWSSigner.import_(_path(uri)),
}
