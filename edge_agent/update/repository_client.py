"""The device's view of a repository: releases that TUF vouches for, fetched within bounds."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Targets

from edge_agent.bundle.archive import MAX_BUNDLE_BYTES
from edge_agent.decoding import DecodeError, decode
from edge_agent.update import errors
from edge_agent.update.durable import storage_errors
from edge_agent.update.tuf_client import TufClient
from edge_agent.update.waiting import Limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """The custom field of a release's target, signed by the targets key.

    Attributes:
        name: the line of releases.
        version: its semantic version.
        workload: which workload of the agent runs it.
        digest: SHA-256 of the bundle, hex.
        minimum: least versions, by ``agent``, ``tflite_runtime``, ``litert``.
    """

    name: str
    version: str
    workload: str
    digest: str
    minimum: dict[str, str]


class RepositoryClient:
    """Looks at the repository at `url` with the eyes of the trust root `trusted_root`.

    Args:
        url: http(s):// or file:// address of the folder with ``metadata/`` and ``targets/``.
        trusted_root: root metadata given from outside; never taken from the repository.
        metadata: folder for trusted metadata; what is seen once is never rolled back.
        limits: what fetching may cost.

    Raises:
        UpdateError: if the trust root or the folder cannot be used.
    """

    def __init__(self, url: str, trusted_root: bytes, metadata: Path, limits: Limits) -> None:
        self._url = url.rstrip("/")
        self._metadata = metadata
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

    def releases(self) -> dict[str, Offer]:
        """Refreshes the metadata; gives every release by its target path.

        Raises:
            UpdateError: if the repository cannot be reached or trusted.
        """
        with errors.plain_words(self._url), storage_errors(self._metadata.parent):
            self._client.refresh()
            # What refresh() has just verified; the Updater itself gives no list.
            listed = Metadata[Targets].from_file(str(self._metadata / "targets.json"))
        found = {}
        for path, target in listed.signed.targets.items():
            with contextlib.suppress(DecodeError):  # a target that is not a release
                found[path] = decode(Offer, target.custom)
        return found

    def download(self, target: str, destination: Path) -> int:
        """Fetches `target` to `destination`, where it appears whole, verified and durable.

        What has come of a download that breaks off is kept beside it, for the next one.

        Returns:
            The bytes that came from the server for it.

        Raises:
            UpdateError: if it cannot be fetched, is not what was signed, or cannot be written.
        """
        with errors.plain_words(self._url), storage_errors(self._metadata.parent):
            info = self._client.get_targetinfo(target)
            if info is None:
                raise errors.UnknownReleaseError(f"{self._url}: holds no {target}")
            if info.length > MAX_BUNDLE_BYTES:
                raise errors.RefusedError(
                    f"{target}: {info.length} bytes; a bundle has at most {MAX_BUNDLE_BYTES}"
                )
            return self._client.fetch(info, destination)
