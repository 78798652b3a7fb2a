"""What python-tuf raises, in words that say the next step.

Apart from the errors themselves, so that a process which only knows these loads nothing of python-tuf.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tuf.api import exceptions

from edge_agent.update.errors import (
    ExpiredError,
    RolledBackError,
    UnreachableError,
    UntrustedError,
)

_SERVER = (
    "check the address, this device's network, name server and proxy (http_proxy, https_proxy), and "
    "that the server runs"
)
_FOLDER = "give the folder that holds metadata/ and targets/, and see that its disk is there"


@contextlib.contextmanager
def plain_words(repository: str) -> Iterator[None]:
    """Turns what python-tuf raises about `repository` into an `UpdateError`."""
    try:
        yield
    except exceptions.ExpiredMetadataError as e:
        raise ExpiredError(
            f"{repository}: {e}: check this device's clock (it says "
            f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC); if it is right, the "
            "repository's owner must sign it again"
        ) from e
    except exceptions.BadVersionNumberError as e:
        raise RolledBackError(
            f"{repository}: offers older metadata than this device has seen ({e}): a stale mirror "
            "or an attack; use an up-to-date mirror"
        ) from e
    except exceptions.UnsignedMetadataError as e:
        raise UntrustedError(
            f"{repository}: not signed by the keys that this device trusts ({e}): check that the "
            "trust root belongs to this repository, and the repository against its backup"
        ) from e
    except exceptions.RepositoryError as e:
        raise UntrustedError(
            f"{repository}: not what was signed ({e}): the file is damaged or was tampered with; "
            "try another mirror, or tell the repository's owner"
        ) from e
    except exceptions.DownloadError as e:
        check = _FOLDER if repository.startswith("file:") else _SERVER
        raise UnreachableError(f"{repository}: {e}: {check}, then try again") from e
