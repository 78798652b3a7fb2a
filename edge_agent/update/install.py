"""Installing a release: choose, fetch, prove, and only then make it current.

The order is the promise. Until the link `current` is replaced, in one step, the slot that ran
before runs on; nothing of it is touched. The bundle is proven while it still lies aside, so that a
bad one does not even cost the fallback in the other slot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_agent import __version__, selftest
from edge_agent.bundle import archive
from edge_agent.compatibility import CompatibilityError, check_minimum
from edge_agent.keyword.classifier import ClassifierError
from edge_agent.runtime import RuntimeModelError
from edge_agent.update import errors
from edge_agent.update.offers import Offer
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.slots import DeviceFolder, State
from edge_agent.update.waiting import Limits

_MAX_ROOT_BYTES = 512_000
_REQUEST = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})(?:==([0-9A-Za-z.-]{1,64}))?")
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:-([0-9A-Za-z.-]{1,50}))?", re.ASCII)

_Order = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def run(
    repository: str,
    trusted_root: Path,
    root: Path,
    request: str,
    *,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Installs the release `request` from `repository` into the device folder `root`.

    Args:
        repository: http(s):// or file:// URL, or a path, of the folder with ``metadata/``.
        trusted_root: the root.json that this device trusts, given from outside.
        root: the device folder; made where it is missing.
        request: ``NAME`` for its highest version, or ``NAME==VERSION``.
        limits: what fetching may cost.

    Returns:
        ``{"name", "version", "digest", "slot", "target", "outcome"}``; the outcome is
        ``installed``, or ``already_current`` where this very bundle runs already.

    Raises:
        UpdateError: naming what is wrong and the next step; what ran before runs on.
    """
    name, version = parse_request(request)
    url = repository_url(repository)
    trust = read_trusted_root(trusted_root)
    folder = DeviceFolder(root)
    with folder.locked():
        folder.sweep()
        client = RepositoryClient(url, trust, folder.metadata, limits or Limits())
        target, offer = choose(client.releases(), name, version)
        slot = folder.current()
        if slot is not None and folder.current_digest() == offer.digest:
            return _finish(folder, slot, target, offer, "already_current")
        _check_agent(f"{offer.name} {offer.version}", offer.minimum)
        slot = folder.free()
        try:
            client.download(target, offer, folder.aside(slot), folder.bundles())
            _prove(folder.aside(slot), target, offer)
            folder.settle(slot)
        except BaseException:
            folder.sweep()
            raise
        folder.flip(slot)
        return _finish(folder, slot, target, offer, "installed")


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
        RequestError: for another scheme, a password in the address, or a folder that is not there.
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
        return repository
    path = Path(repository).absolute()
    if not path.is_dir():
        raise errors.RequestError(f"{path}: no such folder: give the repository's folder or URL")
    return path.as_uri()


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


def _check_agent(what: str, minimum: Mapping[str, str]) -> None:
    try:
        check_minimum(minimum, {"agent": __version__})
    except CompatibilityError as e:
        raise errors.IncompatibleError(f"{what}: {e}, or install an older release") from e


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


def _prove(path: Path, target: str, offer: Offer) -> None:
    try:
        bundle = archive.read(path)
    except archive.BundleError as e:
        raise errors.RefusedError(f"{target}: {e}") from e
    if bundle.digest != offer.digest:
        raise errors.RefusedError(
            f"{target}: its content does not have the digest that its release names: tell the "
            "repository's owner"
        )
    _check_agent(f"{offer.name} {offer.version}", bundle.manifest.minimum)
    try:
        selftest.run(bundle)
    except (archive.BundleError, ClassifierError, RuntimeModelError, selftest.SelfTestError) as e:
        raise errors.RefusedError(f"{target}: does not pass its self-test here: {e}") from e


def _finish(
    folder: DeviceFolder, slot: str, target: str, offer: Offer, outcome: str
) -> dict[str, Any]:
    state = State(
        name=offer.name, version=offer.version, digest=offer.digest, slot=slot, target=target
    )
    if folder.state() != state:
        folder.record(state)
    return {
        "name": state.name,
        "version": state.version,
        "digest": state.digest,
        "slot": state.slot,
        "target": state.target,
        "outcome": outcome,
    }
