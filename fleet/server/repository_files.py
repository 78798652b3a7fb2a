"""The tenant's TUF repository as files: ``/{tenant}/tuf/metadata/...`` and ``/{tenant}/tuf/targets/...``.

It needs no token: TUF's metadata is what a device may trust, wherever it comes from. What an operator
keeps beside the published files (drafts, locks, what is half written) is not served.
"""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

from fleet.control.releases import repository_folder
from fleet.server.access import find_tenant
from fleet.server.files import send_file
from fleet.server.fleet_state import FleetState
from fleet.server.operations import DescribedRoute, Operation
from fleet.server.problems import not_found

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.%+-]{0,199}", re.ASCII)
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
            raise not_found() from None
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            raise not_found()
        version = f"{facts.st_mtime_ns}/{facts.st_size}/{facts.st_ino}"
        etag = f'"{hashlib.sha256(version.encode()).hexdigest()[:32]}"'
        kind = "application/json" if path.suffix == ".json" else "application/octet-stream"
        return await send_file(state, request, path, etag, kind)

    return [DescribedRoute(_FILE.path, endpoint, [_FILE])]
