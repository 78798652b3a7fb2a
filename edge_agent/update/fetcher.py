"""Fetches files within bounds, for python-tuf and for downloads that resume.

What is closed here against a hostile or broken server: total time and redirects (`connections`),
bytes (the caller of `download_file` says how many a file may have; `Body` is read piece by piece),
and content encodings, which are neither asked for nor undone, so that nothing can swell. A server
that is busy (429, 503) is asked again after the time it names, or a growing time by lot, and left
if it asks for more than the limits allow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import random
import re
import time
import types
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from tuf.api import exceptions
from tuf.ngclient import FetcherInterface

from edge_agent.update.connections import Connections, RedirectError
from edge_agent.update.waiting import Deadline, Limits, Pace, back_off, retry_after

_PIECE_BYTES = 64 * 1024
_BUSY = {429, 503}
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(?:\d{1,15}|\*)", re.ASCII)


class OtherPartError(exceptions.DownloadError):
    """The server gives another part of the file than was asked for, or a part of another file."""


@dataclasses.dataclass(frozen=True)
class Body:
    """What a server gives of a file.

    Attributes:
        start: the place in the file where it begins: what was asked for, or 0.
        etag: a strong validator of the file, if there is one.
        pieces: the bytes from there on.
    """

    start: int
    etag: str | None
    pieces: Iterator[bytes]


class BoundedFetcher(FetcherInterface):
    """Fetches http(s):// and file:// URLs within `limits`.

    The clock runs from the making of the fetcher, over all that it fetches.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._deadline = Deadline(time.monotonic() + limits.total_seconds)
        self._connections = Connections(limits, self._deadline)
        self._pace = Pace(limits.bytes_per_second)

    def _fetch(self, url: str) -> Iterator[bytes]:
        with self.opened(url) as body:
            yield from body.pieces

    @contextlib.contextmanager
    def opened(
        self,
        url: str,
        start: int = 0,
        etag: str | None = None,
        headers: Mapping[str, str] = types.MappingProxyType({}),
    ) -> Iterator[Body]:
        """Opens `url` at the byte `start`, if the file still has that `etag`; else at its beginning.

        Args:
            url: of the file.
            start: 0 for all of it.
            etag: of the file that the bytes before `start` are of.
            headers: sent besides.

        Raises:
            DownloadError: if it cannot be had, at once or while its pieces are read.
        """
        with contextlib.ExitStack() as stack:
            with _fetch_errors(url):  # around what is ours alone, not around the reader's own work
                if url.startswith("file:"):
                    file = stack.enter_context(_open_file(url))
                    file.seek(start)
                    body = Body(start, None, self._pieces(url, file.read))
                else:
                    response = self._open(url, start, etag, headers)
                    stack.callback(response.close)
                    pieces = self._received(url, response)
                    body = Body(_start(response, start), _etag(response), pieces)
            yield body

    def wait(self, attempt: int) -> None:
        """Waits before the try after `attempt` (from 0).

        Raises:
            DownloadError: if there is no time left for it.
        """
        with _fetch_errors("waiting to try again"):
            self._sleep(back_off(attempt, self.limits.patience_seconds, random.random()))

    def _open(
        self, url: str, start: int, etag: str | None, more: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        headers = {**more, "Range": f"bytes={start}-"} if start else dict(more)
        if start and etag:
            headers["If-Range"] = etag
        for attempt in range(self.limits.tries):
            try:
                return self._connections.open(url, headers)
            except urllib.error.HTTPError as e:
                if e.code not in _BUSY or attempt + 1 == self.limits.tries:
                    raise
                asked = retry_after(e.headers.get("Retry-After"), datetime.now(UTC))
                e.close()
                if asked is None:
                    self.wait(attempt)
                elif asked > self.limits.patience_seconds:
                    raise exceptions.DownloadHTTPError(
                        f"HTTP status {e.code}, busy: asks to come back in {asked:.0f} s", e.code
                    ) from e
                else:
                    self._sleep(asked + random.random())
        raise AssertionError("a try either returns or raises")

    def _sleep(self, seconds: float) -> None:
        if seconds >= self._deadline.left():
            raise TimeoutError("total time used up")
        time.sleep(seconds)

    def _received(self, url: str, response: http.client.HTTPResponse) -> Iterator[bytes]:
        yield from self._pieces(url, response.read1)
        if response.length:
            raise exceptions.DownloadError(f"{url}: cut short, {response.length} bytes missing")

    def _pieces(self, url: str, read: Callable[[int], bytes]) -> Iterator[bytes]:
        with _fetch_errors(url):
            while piece := read(self._pace.piece(_PIECE_BYTES)):
                self._deadline.left()
                self._pace.spend(len(piece))
                yield piece


def _open_file(url: str) -> BinaryIO:
    path = Path(urllib.request.url2pathname(urlsplit(url).path))
    if not path.is_file():
        raise exceptions.DownloadHTTPError("no such file", 404)
    return path.open("rb")


def _start(response: http.client.HTTPResponse, asked: int) -> int:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise exceptions.DownloadError(f"sent as {encoding[:40]!r}, which was not asked for")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not asked or match is None or int(match[1]) != asked:
        raise OtherPartError("answers with another part than was asked for")
    return asked


def _etag(response: http.client.HTTPResponse) -> str | None:
    etag = response.headers.get("ETag", "")
    return etag if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', etag) else None


@contextlib.contextmanager
def _fetch_errors(url: str) -> Iterator[None]:
    """Turns what opening and reading `url` may raise into a `DownloadError` that names it."""
    try:
        yield
    except exceptions.DownloadHTTPError as e:
        raise exceptions.DownloadHTTPError(f"{url}: {e}", e.status_code) from e
    except OtherPartError as e:
        raise OtherPartError(f"{url}: {e}") from e
    except (exceptions.DownloadError, RedirectError) as e:
        raise exceptions.DownloadError(f"{url}: {e}") from e
    except urllib.error.HTTPError as e:
        e.close()
        raise exceptions.DownloadHTTPError(f"{url}: HTTP status {e.code}", e.code) from e
    except (OSError, http.client.HTTPException, ValueError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        if isinstance(reason, TimeoutError):
            raise exceptions.SlowRetrievalError(f"{url}: too slow ({reason})") from e
        raise exceptions.DownloadError(f"{url}: {reason or type(e).__name__}") from e
