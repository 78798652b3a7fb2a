"""Sending files in bounded pieces: a large one never lies in memory, a slow client holds up nobody."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fleet.server.fleet_state import FleetState
from fleet.server.problems import Problem, not_found
from fleet.server.ranges import choose_part
from fleet.store.objects import MARK, Objects

_PIECE = 256 * 1024


class Content(Protocol):
    """Something that can be sent, in whole or in part.

    Attributes:
        size: in bytes.
    """

    size: int

    async def read(self, first: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `first` up to before `end`; what is wrong is raised before the first of them."""

    def close(self) -> None:
        """Nothing will be read."""


class LocalFile:
    """A file in the server's folder; one that is removed meanwhile is sent to its end all the same."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self._file = file

    async def read(self, first: int, end: int) -> AsyncIterator[bytes]:
        return self._pieces(first, end)

    def close(self) -> None:
        self._file.close()

    async def _pieces(self, first: int, end: int) -> AsyncIterator[bytes]:
        with self._file as file:
            file.seek(first)
            while first < end:
                piece = await asyncio.to_thread(file.read, min(_PIECE, end - first))
                if not piece:
                    return  # it was cut short: the client sees too few bytes
                first += len(piece)
                yield piece


class StoredFile:
    """An object of the store."""

    def __init__(self, objects: Objects, name: str, size: int) -> None:
        self.size = size
        self._objects = objects
        self._name = name

    async def read(self, first: int, end: int) -> AsyncIterator[bytes]:
        return await self._objects.read(self._name, first, end)

    def close(self) -> None:
        pass


async def open_file(path: Path) -> Content:
    """The file at `path`.

    Raises:
        Problem: 404 if it is not there.
    """
    try:
        return LocalFile(await asyncio.to_thread(path.open, "rb"))
    except OSError:
        raise not_found("the file is not there any more") from None


async def open_release(state: FleetState, row: Any) -> Content:
    """The file of a release.

    Raises:
        Problem: 404 if it is not there; 503 if it is in a store, and the server was told of none.
    """
    if not row.file.startswith(MARK):
        return await open_file(state.root / row.file)
    if state.objects is None:
        raise Problem(503, "the file is in an object store: start the server with --store URL")
    return StoredFile(state.objects, row.file.removeprefix(MARK), row.size)


async def send(
    state: FleetState, request: Request, content: Content, etag: str, media_type: str
) -> Response:
    """The content, or the part of it that is asked for.

    Raises:
        Problem: 412 or 416 as the request's headers demand.
        StoreError: if the content cannot be read.
    """
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    size = content.size
    part = choose_part(request.headers, etag, size, request.method)
    if part.status in (304, 412, 416) or request.method == "HEAD":
        content.close()
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
    if request.method == "HEAD" or part.first == part.end:
        content.close()
        return Response(None, part.status, headers, media_type)
    pieces = await content.read(part.first, part.end)
    return StreamingResponse(_counted(state, pieces), part.status, headers, media_type)


async def _counted(state: FleetState, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        state.figures.artifact_bytes += len(piece)
        yield piece
