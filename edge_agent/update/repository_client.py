"""The device's view of a repository: releases that TUF vouches for, fetched within bounds.

python-tuf's Updater decides what is trusted. What it leaves open is closed here: a fetch has a
total time and a bounded number of bytes and redirects; trusted metadata reaches the disk before it
counts; a target is never written onto its final path. To resume downloads, extend `BoundedFetcher`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import io
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from tuf.api import exceptions
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from edge_agent import __version__
from edge_agent.bundle.archive import MAX_BUNDLE_BYTES
from edge_agent.decoding import DecodeError, decode
from edge_agent.update import errors
from edge_agent.update.slots import replace_link, storage_errors, write_whole

_CHUNK_BYTES = 64 * 1024
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What fetching may cost.

    Attributes:
        total_seconds: for everything that one client fetches, however slowly it trickles.
        idle_seconds: without a byte.
        redirects: followed for one file.
    """

    total_seconds: float = 900.0
    idle_seconds: float = 30.0
    redirects: int = 5


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
                self._updater = _DurableUpdater(
                    str(metadata),
                    f"{self._url}/metadata/",
                    target_base_url=f"{self._url}/targets/",
                    fetcher=BoundedFetcher(limits),
                    config=UpdaterConfig(),
                    bootstrap=trusted_root,
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
            self._updater.refresh()
            # What refresh() has just verified; the Updater itself gives no list.
            listed = Metadata[Targets].from_file(str(self._metadata / "targets.json"))
        found = {}
        for path, target in listed.signed.targets.items():
            with contextlib.suppress(DecodeError):  # a target that is not a release
                found[path] = decode(Offer, target.custom)
        return found

    def download(self, target: str, destination: Path) -> None:
        """Fetches and verifies `target`, writing it to `destination`.

        Raises:
            UpdateError: if it cannot be fetched, is not what was signed, or cannot be written;
                what is left at `destination` then is for the caller to remove.
        """
        with errors.plain_words(self._url), storage_errors(self._metadata.parent):
            info = self._updater.get_targetinfo(target)
            if info is None:
                raise errors.UnknownReleaseError(f"{self._url}: holds no {target}")
            if info.length > MAX_BUNDLE_BYTES:
                raise errors.RefusedError(
                    f"{target}: {info.length} bytes; a bundle has at most {MAX_BUNDLE_BYTES}"
                )
            self._updater.download_target(_safe(info), str(destination))


def _safe(info: TargetFile) -> TargetFile:
    """Refuses target paths that could leave the repository's folder where it is a local one."""
    if any(part in ("", ".", "..") for part in info.path.split("/")):
        raise exceptions.RepositoryError(f"target path {info.path!r}")
    return info


class _DurableUpdater(Updater):
    """python-tuf's Updater, whose metadata is synced before it counts."""

    def _persist_file(self, filename: str, data: bytes) -> None:
        write_whole(Path(filename), data)

    def _update_root_symlink(self) -> None:
        version = self._trusted_set.root.version
        replace_link(Path(self._dir, "root.json"), Path("root_history", f"{version}.root.json"))


class BoundedFetcher(FetcherInterface):
    """Fetches http(s):// and file:// URLs within `limits`; proxies come from the environment.

    The clock runs from the making of the fetcher, over all that it fetches. How many bytes a file
    may have is told by the caller of `download_file`, for each.
    """

    def __init__(self, limits: Limits) -> None:
        self._deadline = _Deadline(time.monotonic() + limits.total_seconds, limits.idle_seconds)
        self._redirects = limits.redirects
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            _Http(self._deadline),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.UnknownHandler(),
        ):
            self._opener.add_handler(handler)

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._file(url) if url.startswith("file:") else self._http(url)

    def _file(self, url: str) -> Iterator[bytes]:
        path = Path(urllib.request.url2pathname(urlsplit(url).path))
        with _fetch_errors(url):
            if not path.is_file():
                raise exceptions.DownloadHTTPError(f"{path}: no such file", 404)
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    self._deadline.next_wait()
                    yield chunk

    def _http(self, url: str) -> Iterator[bytes]:
        with _fetch_errors(url), self._open(url) as response:
            while chunk := response.read1(_CHUNK_BYTES):
                yield chunk
            if response.length:
                raise exceptions.DownloadError(f"{url}: cut short, {response.length} bytes missing")

    def _open(self, url: str) -> http.client.HTTPResponse:
        """Opens `url`, following redirects itself: urllib would read their bodies to any length."""
        for _ in range(self._redirects + 1):
            request = urllib.request.Request(
                url, headers={"User-Agent": f"edge_agent/{__version__}"}
            )
            try:
                response = self._opener.open(request, timeout=self._deadline.next_wait())
            except urllib.error.HTTPError as e:
                place = e.headers.get("Location") if e.code in _REDIRECTS else None
                if place is None:
                    raise
                e.close()
                scheme, url = request.type, urljoin(url, place)
                if urlsplit(url).scheme not in {"https", scheme}:
                    raise exceptions.DownloadError(f"redirected to {url}: not safe") from e
                continue
            return cast("http.client.HTTPResponse", response)
        raise exceptions.DownloadError(f"{url}: redirected more than {self._redirects} times")


@contextlib.contextmanager
def _fetch_errors(url: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as e:
        e.close()
        raise exceptions.DownloadHTTPError(f"{url}: HTTP status {e.code}", e.code) from e
    except (OSError, http.client.HTTPException, ValueError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        if isinstance(reason, TimeoutError):
            raise exceptions.SlowRetrievalError(f"{url}: too slow") from e
        raise exceptions.DownloadError(f"{url}: {reason or type(e).__name__}") from e


@dataclasses.dataclass(frozen=True)
class _Deadline:
    at: float
    idle_seconds: float

    def next_wait(self) -> float:
        """Seconds that the next step may take; TimeoutError when all are used up."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("total time used up")
        return min(left, self.idle_seconds)


class _Http(urllib.request.HTTPHandler):
    """Opens both schemes with connections whose every read is under the deadline."""

    https_request = urllib.request.HTTPHandler.http_request

    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connect(http.client.HTTPConnection), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        context = ssl.create_default_context()
        return self.do_open(self._connect(http.client.HTTPSConnection), request, context=context)

    def _connect(self, type_: Any) -> Any:
        def connect(host: str, **arguments: Any) -> Any:
            connection = type_(host, **arguments)
            connection.response_class = respond
            return connection

        def respond(sock: socket.socket, *arguments: Any, **named: Any) -> Any:
            return http.client.HTTPResponse(
                cast("socket.socket", _Reader(sock, self._deadline)), *arguments, **named
            )

        return connect


class _Reader(io.RawIOBase):
    """A socket's bytes, headers included, each read allowed only what time is left."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
        super().__init__()
        self._socket = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        """What HTTPResponse asks its socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(self._deadline.next_wait())
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        self._bytes.close()
        super().close()
