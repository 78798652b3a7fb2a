"""The tenant's TUF repository as files: ``/{tenant}/tuf/metadata/...`` and ``/{tenant}/tuf/targets/...``.

It needs no token: TUF's metadata is what a device may trust, wherever it comes from. What an operator
keeps beside the published files (drafts, locks, what is half written) is not served.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fleet.control.releases import repository_folder, stored
from fleet.server.access import find_tenant
from fleet.server.files import open_file, open_release, send
from fleet.server.fleet_state import FleetState
from fleet.server.operations import DescribedRoute, Operation
from fleet.server.problems import not_found

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.%+-]{0,199}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILE = Operation(
    method="GET",
    path="/{tenant}/tuf/{path:path}",
    summary="a file of the tenant's TUF repository, or part of it",
    media_type="application/octet-stream",
    others=(206, 304),
)


def routes(state: FleetState) -> list[DescribedRoute]:
    """The one resource."""

    async def endpoint(request: Request) -> Response:
        tenant = find_tenant(state, request.path_params["tenant"])
        parts = str(request.path_params["path"]).split("/")
        if (
            parts[0] not in ("metadata", "targets")
            or not 1 < len(parts) < 6
            or not all(_PART.fullmatch(part) for part in parts)
        ):
            raise not_found()
        folder = repository_folder(state.root, tenant.name)
        path = folder.joinpath(*parts)
        try:
            facts = path.stat()
        except OSError:
            return await _stored(state, request, tenant, parts)
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise not_found()
        version = f"{facts.st_mtime_ns}/{facts.st_size}/{facts.st_ino}"
        etag = f'"{hashlib.sha256(version.encode()).hexdigest()[:32]}"'
        kind = "application/json" if path.suffix == ".json" else "application/octet-stream"
        return await send(state, request, await open_file(path), etag, kind)

    return [DescribedRoute(_FILE.path, endpoint, [_FILE])]


async def _stored(
    state: FleetState, request: Request, tenant: Any, parts: Sequence[str]
) -> Response:
    """A bundle that is not in this worker's folder: targets are named by digest, as objects are."""
    digest = parts[-1].partition(".")[0]
    row = None
    if parts[0] == "targets" and _DIGEST.fullmatch(digest):
        row = await state.read(lambda c: stored(c, tenant.id, digest))
    if row is None:
        raise not_found()
    return await send(
        state, request, await open_release(state, row), f'"{digest}"', "application/octet-stream"
    )
