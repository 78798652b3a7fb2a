"""Installing a release by hand: what is asked for, whom to trust, and one update to get there.

What is asked for by hand is tried even if it failed here before.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_agent.compatibility import present
from edge_agent.update import errors
from edge_agent.update.memory import Phase
from edge_agent.update.proof import prove
from edge_agent.update.releases import version_order
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.slots import DeviceFolder
from edge_agent.update.updater import Prove, Updater, Wanted, Watched
from edge_agent.update.waiting import Limits

_MAX_ROOT_BYTES = 512_000
_REQUEST = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})(?:==([0-9A-Za-z.-]{1,64}))?")


def run(
    repository: str,
    trusted_root: Path,
    root: Path,
    request: str,
    *,
    limits: Limits | None = None,
    watched: Watched = lambda: False,
    prove_bundle: Prove = prove,
) -> dict[str, Any]:
    """Installs the release `request` from `repository` into the device folder `root`.

    Args:
        repository: http(s):// or file:// URL, or a path, of the folder with ``metadata/``.
        trusted_root: the root.json that this device trusts, given from outside.
        root: the device folder; made where it is missing.
        request: ``NAME`` for its highest version, or ``NAME==VERSION``.
        limits: what fetching may cost.
        watched: whether a daemon watches over bundles on probation here.
        prove_bundle: raises `RefusedError` for a bundle that is not fit for this device.

    Returns:
        ``{"name", "version", "digest", "slot", "target", "outcome"}``; the outcome is
        ``installed``, ``on_probation`` where a daemon watches it before it counts as installed, or
        ``already_current`` where this very bundle runs already.

    Raises:
        UpdateError: naming what is wrong and the next step; what ran before runs on.
    """
    name, version = parse_request(request)
    url = repository_url(repository)
    trust = read_trusted_root(trusted_root)
    folder = DeviceFolder.made(root)
    with folder.locked():
        updater = Updater(
            folder,
            lambda: RepositoryClient(url, trust, folder.metadata, limits or Limits()),
            watched=watched,
            present=present(),
            prove_bundle=prove_bundle,
        )
        outcome = updater.run(Wanted(name=name, version=version, insist=True))
    if outcome.error is not None:
        raise outcome.error
    memory = outcome.memory
    installed = memory.candidate if memory.phase is Phase.PROBATION else memory.current
    assert installed is not None  # without an error something runs
    outcomes = {Phase.COMMITTED: "installed", Phase.PROBATION: "on_probation"}
    return {
        **dataclasses.asdict(installed),
        "outcome": outcomes.get(memory.phase, "already_current"),
    }


def parse_request(request: str) -> tuple[str, str | None]:
    """Splits ``NAME`` or ``NAME==VERSION``.

    Raises:
        RequestError: if it is neither.
    """
    match = _REQUEST.fullmatch(request)
    if match is None or (match[2] is not None and version_order(match[2]) is None):
        raise errors.RequestError(
            f"{request[:100]!r} is not NAME or NAME==VERSION, as in keyword_spotting==1.0.3"
        )
    return match[1], match[2]


def repository_url(repository: str) -> str:
    """The address of a repository as a URL; a plain path becomes a file:// one.

    Raises:
        RequestError: for another scheme, a password in the address, a file on another machine, or a folder
            that is not there.
    """
    if "://" in repository:
        try:
            parts = urlsplit(repository)
            usable = parts.scheme in ("http", "https", "file") and "@" not in parts.netloc
        except ValueError:
            usable = False
        if not usable:
            raise errors.RequestError(
                "--repository: give an http://, https:// or file:// address without user and "
                "password, or a folder"
            )
        if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
            raise errors.RequestError(
                f"{repository}: {parts.netloc} stands where a machine's name would: write "
                f"file:///{parts.netloc}{parts.path}"
            )
        return repository
    path = Path(repository).absolute()
    if not path.is_dir():
        raise errors.RequestError(f"{path}: no such folder: give the repository's folder or URL")
    return path.as_uri()


def read_trusted_root(path: Path) -> bytes:
    """The trust root that is given from outside, as bytes.

    Raises:
        TrustedRootError: if there is none at `path`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_ROOT_BYTES + 1)
    except OSError as e:
        raise errors.TrustedRootError(
            f"{path}: cannot be read ({e.strerror}): give the repository's root.json, fetched by a "
            "way that you trust, as --trusted-root"
        ) from e
    if len(data) > _MAX_ROOT_BYTES:
        raise errors.TrustedRootError(f"{path}: too large for a root.json: give the right file")
    return data
