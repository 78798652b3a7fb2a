"""Sending files in bounded pieces: a large one never lies in memory, a slow client holds up nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fleet.server.fleet_state import FleetState
from fleet.server.problems import Problem, not_found
from fleet.server.ranges import choose_part

_PIECE = 256 * 1024


async def send_file(
    state: FleetState, request: Request, path: Path, etag: str, media_type: str
) -> Response:
    """The file at `path`, or the part of it that is asked for.

    A file that is removed meanwhile is sent to its end all the same.

    Raises:
        Problem: 404 if it is not there, 412 or 416 as the request's headers demand.
    """
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError:
        raise not_found("the file is not there any more") from None
    size = os.fstat(file.fileno()).st_size
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    part = choose_part(request.headers, etag, size)
    if part.status in (304, 412, 416) or request.method == "HEAD":
        file.close()
    if part.status == 304:
        return Response(None, 304, headers)
    if part.status == 412:
        raise Problem(412, "the file has another ETag", headers)
    if part.status == 416:
        raise Problem(
            416, f"the file has {size} bytes", {**headers, "Content-Range": f"bytes */{size}"}
        )
    if part.status == 206:
        headers["Content-Range"] = f"bytes {part.first}-{part.end - 1}/{size}"
    headers["Content-Length"] = str(part.end - part.first)
    if request.method == "HEAD":
        return Response(None, part.status, headers, media_type)
    content = _pieces(state, file, part.first, part.end)
    return StreamingResponse(content, part.status, headers, media_type)


async def _pieces(state: FleetState, file: BinaryIO, first: int, end: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(first)
        while first < end:
            piece = await asyncio.to_thread(file.read, min(_PIECE, end - first))
            if not piece:
                return  # it was cut short: the client sees too few bytes
            first += len(piece)
            state.figures.artifact_bytes += len(piece)
            yield piece
