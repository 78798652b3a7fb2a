"""Fetching one target, going on where a former try ended, until its hash is the signed one.

The hash decides alone. A server that ignores the range, has another file meanwhile, or answers with
another part costs at most the bytes that had come before: they are thrown away and the file is
fetched from its beginning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import TargetFile

from edge_agent.update.fetcher import BoundedFetcher, OtherPartError
from edge_agent.update.partial import Partial

_RANGE_NOT_SATISFIABLE = 416


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a file is, and what its server must be told besides, such as who asks."""

    url: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


def download(fetcher: BoundedFetcher, source: Source, target: TargetFile, destination: Path) -> int:
    """Fetches `target` from `source` to `destination`, which appears whole, verified and durable.

    Returns:
        The bytes that came from the server for it.

    Raises:
        DownloadError: if it cannot be fetched; what has come is kept for the next call.
        LengthOrHashMismatchError: if it is not what was signed; nothing of it is kept.
        OSError: if the disk refuses.
    """
    partial = Partial(destination, min(target.hashes.values()))
    try:
        resumed = partial.bytes > 0
        _fetch(fetcher, source, target, partial)
        if resumed and not _signed(target, partial):
            partial.restart(None)  # the fault may be in what had been kept
            _fetch(fetcher, source, target, partial)
        target.verify_length_and_hashes(partial.whole())
        partial.place(destination)
    except (exceptions.LengthOrHashMismatchError, exceptions.DownloadLengthMismatchError):
        partial.discard()
        raise
    finally:
        partial.close()
    return partial.received


def _signed(target: TargetFile, partial: Partial) -> bool:
    try:
        target.verify_length_and_hashes(partial.whole())
    except exceptions.LengthOrHashMismatchError:
        return False
    return True


def _fetch(fetcher: BoundedFetcher, source: Source, target: TargetFile, partial: Partial) -> None:
    """Fetches what `partial` lacks; a server that has given something is tried again."""
    for attempt in range(fetcher.limits.tries):
        try:
            _go_on(fetcher, source, target, partial)
            break
        except exceptions.DownloadLengthMismatchError:
            raise
        except exceptions.DownloadHTTPError as e:
            if e.status_code != _RANGE_NOT_SATISFIABLE or not partial.bytes:
                raise
            partial.restart(None)
        except OtherPartError:
            if not partial.bytes:
                raise
            partial.restart(None)
        except exceptions.DownloadError:
            if not partial.received or attempt + 1 == fetcher.limits.tries:
                raise
            fetcher.wait(attempt)


def _go_on(fetcher: BoundedFetcher, source: Source, target: TargetFile, partial: Partial) -> None:
    if partial.bytes == target.length:
        return
    with fetcher.opened(source.url, partial.bytes, partial.etag, source.headers) as body:
        if body.start != partial.bytes:
            partial.restart(body.etag)
        elif body.start == 0:
            partial.etag = body.etag
        elif body.etag != partial.etag:
            raise OtherPartError(f"{source.url}: is another file than before")
        try:
            for piece in body.pieces:
                if partial.bytes + len(piece) > target.length:
                    raise exceptions.DownloadLengthMismatchError(
                        f"{source.url}: has more than the {target.length} bytes that are signed"
                    )
                partial.append(piece)
        finally:
            partial.keep()
