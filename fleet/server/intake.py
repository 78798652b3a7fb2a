"""Bundles that signers send, taken in and signed by a server that was told to: one that holds the keys.

Whoever has a signer's token of such a server can have devices run a bundle; elsewhere that takes the keys.
"""

from __future__ import annotations

import asyncio
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


class Intake:
    """Releases what it is sent, in the tenants' repositories, with the keys beside them.

    Args:
        root: the server's folder.
        objects: the object store, if released files go into one.
    """

    def __init__(self, root: Path, objects: Objects | None) -> None:
        self._root = root
        self._objects = objects
        self._one = asyncio.Lock()  # releasing takes several times a bundle's memory

    async def take(self, request: Request, tenant: str, version: str | None) -> Release:
        """Releases the bundle that is the body; one that is released already is given back as it is.

        Args:
            request: whose body, which goes to the disk as it comes.
            tenant: the tenant's name.
            version: of the release; None for the next patch.

        Raises:
            Problem: 400 if it is no bundle, or cannot have that version; 413 if it is longer than a bundle
                may be; 408 if it does not come; 409 if the tenant has no repository yet.
            RepositoryError: if it cannot be released: the keys are not here, say.
        """
        with tempfile.TemporaryDirectory(prefix="fleet-bundle-") as folder:
            file = Path(folder, "sent.bundle")
            with file.open("wb") as out:
                await receive(request, MAX_BUNDLE_BYTES, PATIENCE_S, out.write)
            try:
                async with self._one:
                    return await asyncio.to_thread(self._release, file, tenant, version)
            except (BundleError, ReleaseError) as e:
                raise Problem(400, str(e).replace(str(file), "the bundle")) from e

    def _release(self, file: Path, tenant: str, version: str | None) -> Release:
        repository = Repository(releases.repository_folder(self._root, tenant))
        if not repository.published():  # the first release would make keys
            raise Problem(
                409,
                "the tenant has no repository yet: `python -m fleet release add BUNDLE` makes it, with its "
                "keys, where these are to be",
            )
        published = releases.publish_bundle(self._root, tenant, file, version)
        releases.upload(self._objects, repository.bundle_path(published))
        return published
