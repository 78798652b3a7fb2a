"""Released files in an object store: S3 or what speaks as it does, by URL.

An object is named after its digest and never changes, so whoever has it has it whole. Credentials, region
and endpoint come from the environment, under the names that AWS's tools use.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import AsyncIterator
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from fleet.store.errors import NotFoundError, StoreError

MARK = "store:"
"""What `Release.file` begins with where the file is in an object store; its name there follows."""
_PIECE = 256 * 1024
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def object_name(digest: str) -> str:
    """What the object with this SHA-256 (hex) is called."""
    return f"{digest[:2]}/{digest}"


class Objects:
    """A store.

    Args:
        url: ``s3://BUCKET/PREFIX``, or another that obstore knows.

    Raises:
        StoreError: if there is no such kind of store, or its settings are wrong.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        endpoint = next((os.environ[name] for name in _ENDPOINTS if name in os.environ), "")
        try:
            self._store = from_url(
                url,
                client_options={
                    "allow_http": endpoint.startswith("http:"),
                    "connect_timeout": "5s",
                    "timeout": "300s",
                },
                retry_config={
                    "max_retries": 3,
                    "retry_timeout": datetime.timedelta(seconds=10),
                },
            )
        except (BaseError, ValueError) as e:
            raise StoreError(f"--store {url}: {_first_line(e)}") from e

    def put(self, name: str, file: Path) -> None:
        """Stores a file, unless an object of that name is there.

        Raises:
            StoreError: if the store cannot be reached, or refuses.
        """

        try:
            if not self._has(name):
                obstore.put(self._store, name, file)
        except (BaseError, FileNotFoundError) as e:  # the latter: there is no such bucket
            raise self._away(e) from e

    def _has(self, name: str) -> bool:
        try:
            obstore.head(self._store, name)
        except FileNotFoundError:
            return False
        return True

    async def read(self, name: str, first: int, end: int) -> AsyncIterator[bytes]:
        """The bytes of an object from `first` up to before `end`, of which there must be one at least.

        Raises:
            NotFoundError: if there is no such object, before anything is given.
            StoreError: if the store cannot be reached, or refuses.
        """
        try:
            found = await obstore.get_async(self._store, name, options={"range": (first, end)})
        except FileNotFoundError:
            raise NotFoundError("the file is not there any more") from None
        except BaseError as e:
            raise self._away(e) from e
        return self._pieces(found)

    async def _pieces(self, found: obstore.GetResult) -> AsyncIterator[bytes]:
        try:
            async for piece in found.stream(min_chunk_size=_PIECE):
                yield bytes(piece)
        except BaseError as e:
            raise self._away(e) from e

    def _away(self, error: Exception) -> StoreError:
        return StoreError(
            f"{self.url}: {_first_line(error)}: check the store, and AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL"
        )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
