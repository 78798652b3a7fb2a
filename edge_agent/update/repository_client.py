"""The device's view of a repository: releases that TUF vouches for, fetched within bounds."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tuf.api import exceptions
from tuf.api.metadata import TargetFile

from edge_agent.bundle.archive import MAX_BUNDLE_BYTES
from edge_agent.bundle.delta import DeltaError, apply
from edge_agent.update import durable, errors
from edge_agent.update.download import Source
from edge_agent.update.durable import storage_errors
from edge_agent.update.offers import DeltaOffer, Offer, read_offer
from edge_agent.update.partial import kept_bytes
from edge_agent.update.plain_words import plain_words
from edge_agent.update.slots import ALARMS
from edge_agent.update.tuf_client import GONE, TufClient
from edge_agent.update.waiting import Limits

_SPARE_BYTES = 1024 * 1024
_log = logging.getLogger(__name__)


class DeltaRefusedError(Exception):
    """The delta does not lead to the release here: the whole file is to be fetched."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a release took: bytes from the server, and whether a bundle that was here gave the rest."""

    bytes: int
    delta: bool


class RepositoryClient:
    """Looks at the repository at `url` with the eyes of the trust root `trusted_root`.

    Args:
        url: http(s):// or file:// address of the folder with ``metadata/`` and ``targets/``.
        trusted_root: root metadata given from outside, never taken from the repository; None where
            `metadata` holds what was trusted before.
        metadata: folder for trusted metadata; what is seen once is never rolled back.
        limits: what fetching may cost.

    Raises:
        UpdateError: if the trust root or the folder cannot be used.
    """

    def __init__(
        self, url: str, trusted_root: bytes | None, metadata: Path, limits: Limits
    ) -> None:
        self._url = url.rstrip("/")
        self._metadata = metadata
        self._disk_bytes = limits.disk_bytes
        if trusted_root is None and not (metadata / "root.json").is_file():
            raise errors.TrustedRootError(
                f"{metadata}: no root is trusted here yet: give the repository's root.json, fetched "
                "by a way that you trust, as repository.trusted_root"
            )
        with storage_errors(metadata):
            try:
                self._client = TufClient(
                    metadata,
                    f"{self._url}/metadata/",
                    f"{self._url}/targets/",
                    trusted_root,
                    limits,
                )
            except exceptions.RepositoryError as e:
                raise errors.TrustedRootError(
                    f"the trust root is not root metadata signed by its own keys ({e}): get "
                    "root.json again from whoever runs the repository"
                ) from e

    def releases(self, name: str) -> dict[str, Offer]:
        """Refreshes the metadata; gives the releases by their target path.

        Those that are called `name` are all there; of others, those without keys of their own.

        Raises:
            UpdateError: if the repository cannot be reached or trusted.
        """
        with plain_words(self._url), storage_errors(self._metadata.parent):
            self._client.refresh()
            listed = self._client.listed(name)
        return {
            path: offer
            for path, target in listed.items()
            if (offer := read_offer(target.custom)) is not None
        }

    def download(
        self,
        target: str,
        offer: Offer,
        destination: Path,
        bases: Mapping[str, Path],
        most_bytes: int | None = None,
        elsewhere: Source | None = None,
    ) -> Fetched:
        """Fetches `target` to `destination`, where it appears whole, verified and durable.

        The smallest way is taken: a delta from one of the bundles that are here, or the file. A
        delta that does not lead to it costs its own bytes, no more. What lies here already is copied. What
        has come of a download that
        breaks off is kept beside it, for the next one.

        Args:
            target: the release's path in the repository.
            offer: what the repository says of it.
            destination: where it is to appear.
            bases: bundles that are here, by their SHA-256 (hex).
            most_bytes: that may be fetched for it; None for no limit.
            elsewhere: where the file may be had if the repository holds its metadata alone.

        Raises:
            WaitingError: if more bytes would have to be fetched than may be.
            UpdateError: if it cannot be fetched, is not what was signed, or cannot be written.
        """
        with plain_words(self._url), storage_errors(self._metadata.parent):
            info = self._client.get_targetinfo(target)
            if info is None:
                raise errors.UnknownReleaseError(f"{self._url}: holds no {target}")
            if info.length > MAX_BUNDLE_BYTES:
                raise errors.RefusedError(
                    f"{target}: {info.length} bytes; a bundle has at most {MAX_BUNDLE_BYTES}"
                )
            self._demand_room(info.length - kept_bytes(destination))
            here = bases.get(info.hashes.get("sha256", ""))
            if here is not None:
                durable.copy(here, destination)
                return Fetched(bytes=0, delta=False)
            spent = 0
            most = info.length if most_bytes is None else most_bytes
            delta = _smallest(offer.deltas, bases, min(info.length, most + 1))
            if delta is not None:
                part = durable.aside(destination.with_name("release.delta"))
                try:
                    spent = self._fetch_delta(delta, info, part)
                    _rebuild(part, bases.get(delta.base), info, destination)
                    return Fetched(bytes=spent, delta=bool(delta.base))
                except DeltaRefusedError as e:
                    _log.warning("%s: %s: fetching the whole file", delta.target, e)
                finally:
                    durable.remove(part)
            if info.length > most - (0 if most_bytes is None else spent):
                raise errors.WaitingError(
                    f"waits for a network that is not metered: its {info.length} bytes are more than "
                    f"the {most_bytes} that update.metered_bytes allows"
                )
            spent += self._client.fetch(info, destination, elsewhere)
            return Fetched(bytes=spent, delta=False)

    def _demand_room(self, size: int) -> None:
        root = self._metadata.parent
        free = shutil.disk_usage(root).free
        if free < size + _SPARE_BYTES:
            raise errors.StorageError(
                f"{root}: {free} bytes are free, and the release takes {size} and {_SPARE_BYTES} to "
                "spare: free some space"
            )
        quota = self._disk_bytes
        if quota is None:
            return
        held = _held_bytes(root)
        if held + size > quota:
            raise errors.StorageError(
                f"{root}: holds {held} bytes, and the release takes {size} beside them: the two are "
                f"beyond update.disk_quota, {quota}: raise it"
            )

    def _fetch_delta(self, delta: DeltaOffer, wanted: TargetFile, part: Path) -> int:
        info = self._client.get_targetinfo(delta.target)
        if info is None or info.length >= wanted.length:
            raise DeltaRefusedError("is not in the repository, or larger than the file")
        try:
            return self._client.fetch(info, part)
        except exceptions.DownloadHTTPError as e:
            if e.status_code not in GONE:
                raise
            raise DeltaRefusedError(str(e)) from e
        except (exceptions.RepositoryError, exceptions.DownloadLengthMismatchError) as e:
            raise DeltaRefusedError(str(e)) from e


def _held_bytes(root: Path) -> int:
    """What is in the folder `root`; a file that the daemon removes meanwhile counts nothing.

    Nor do the hours around alarms, which have a bound of their own, and keep no update away.
    """
    held = 0
    for folder, _, names in os.walk(root):
        if Path(folder) == root / ALARMS:
            continue
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                held += (Path(folder) / name).lstat().st_size
    return held


def _smallest(
    deltas: tuple[DeltaOffer, ...], bases: Mapping[str, Path], whole: int
) -> DeltaOffer | None:
    usable = [d for d in deltas if d.bytes < whole and (not d.base or d.base in bases)]
    return min(usable, key=lambda delta: delta.bytes, default=None)


def _rebuild(part: Path, base: Path | None, info: TargetFile, destination: Path) -> None:
    """Makes the file that `info` describes from a delta, and verifies it before it is placed."""
    rebuilt = durable.aside(destination.with_name("rebuilt"))
    try:
        with part.open("rb") as delta, rebuilt.open("w+b") as output:
            with _open_base(base) as opened:
                apply(opened, delta, output)
            output.seek(0)
            info.verify_length_and_hashes(output)
        durable.place(rebuilt, destination)
    except (DeltaError, exceptions.LengthOrHashMismatchError) as e:
        raise DeltaRefusedError(str(e)) from e
    finally:
        durable.remove(rebuilt)


def _open_base(base: Path | None) -> BinaryIO:
    if base is None:
        return io.BytesIO()
    try:
        return base.open("rb")
    except OSError as e:
        raise DeltaRefusedError(f"its base cannot be read ({e.strerror})") from e
