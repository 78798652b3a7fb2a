"""Bundles that signers send, taken in and signed by a server that was told to: one that holds the keys.

Whoever has a signer's token of such a server can have devices run a bundle; elsewhere that takes the keys.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

from starlette.requests import Request

from edge_agent.bundle.archive import MAX_BUNDLE_BYTES, BundleError
from fleet.control import releases
from fleet.repository import Release, Repository
from fleet.repository.errors import ReleaseError
from fleet.server.bodies import receive
from fleet.server.problems import Problem
from fleet.store.objects import Objects

PATIENCE_S = 600.0
"""In which a bundle must come."""
_AT_ONCE = 4  # bundles that lie on the disk: a quarter of a gigabyte
_log = logging.getLogger("fleet")


class Intake:
    """Releases what it is sent, in the tenants' repositories, with the keys beside them.

    Args:
        root: the server's folder.
        objects: the object store, if released files go into one.
    """

    def __init__(self, root: Path, objects: Objects | None) -> None:
        self._root = root
        self._objects = objects
        self._coming = asyncio.Semaphore(_AT_ONCE)
        self._one = asyncio.Lock()  # releasing takes several times a bundle's memory

    async def take(self, request: Request, tenant: str, version: str | None) -> Release:
        """Releases the bundle that is the body; one that is released already is given back as it is.

        Args:
            request: whose body, which goes to the disk as it comes.
            tenant: the tenant's name.
            version: of the release; None for the next patch.

        Raises:
            Problem: 409 if the tenant has no repository yet; 503 if too many come at once; 400 if it is no
                bundle, or cannot have that version; 413 if it is longer than a bundle may be; 408 if it
                does not come; 507 if the disk has no room for it.
            RepositoryError: if it cannot be released: the keys are not here, say.
        """
        repository = Repository(releases.repository_folder(self._root, tenant))
        if not repository.published():  # the first release would make keys
            raise Problem(
                409,
                "the tenant has no repository yet: `python -m fleet release add BUNDLE` makes it, with its "
                "keys, where these are to be",
            )
        if self._coming.locked():
            raise Problem(
                503,
                f"{_AT_ONCE} bundles are being sent already: send it again",
                {"Retry-After": "60"},
            )
        async with self._coming:
            return await self._take(request, tenant, version, repository)

    async def _take(
        self, request: Request, tenant: str, version: str | None, repository: Repository
    ) -> Release:
        with tempfile.TemporaryDirectory(prefix="fleet-bundle-") as folder:
            file = Path(folder, "sent.bundle")
            try:
                with file.open("wb") as out:
                    await receive(request, MAX_BUNDLE_BYTES, PATIENCE_S, out.write)
            except OSError as e:
                _log.warning("%s: a bundle that was sent cannot be written: %s", file, e.strerror)
                raise Problem(507, "the bundle cannot be written: the server's log says why") from e
            try:
                async with self._one:
                    return await asyncio.to_thread(self._release, file, tenant, version, repository)
            except (BundleError, ReleaseError) as e:
                raise Problem(400, str(e).replace(str(file), "the bundle")) from e

    def _release(
        self, file: Path, tenant: str, version: str | None, repository: Repository
    ) -> Release:
        published = releases.publish_bundle(self._root, tenant, file, version)
        releases.upload(self._objects, repository.bundle_path(published))
        return published
