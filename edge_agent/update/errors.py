"""Why an update did not happen; every message says it in plain words, with the next step.

Whatever is raised, the slot that was running before still is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from tuf.api import exceptions


class UpdateError(Exception):
    """The update did not happen; what ran before runs on."""


class TrustedRootError(UpdateError):
    """The trust root given from outside cannot be used."""


class RequestError(UpdateError):
    """The request is not NAME or NAME==VERSION, or the repository's address is not usable."""


class UnreachableError(UpdateError):
    """The repository did not deliver: no connection, too slow, too large, cut short, not there."""


class UntrustedError(UpdateError):
    """Metadata or a target is not what the trusted keys signed."""


class ExpiredError(UpdateError):
    """The newest metadata that the repository offers is past its date."""


class RolledBackError(UpdateError):
    """The repository offers metadata older than this device has already seen."""


class UnknownReleaseError(UpdateError):
    """The repository holds no such release."""


class IncompatibleError(UpdateError):
    """The release needs a newer agent or runtime than this device has."""


class DeclinedError(UpdateError):
    """What a server asks for is not what is signed, or not meant for this device."""


class WaitingError(UpdateError):
    """The release may not be fetched now; it will be when its time has come."""


class RefusedError(UpdateError):
    """The bundle arrived, but it is damaged or does not pass its self-test here."""


class StorageError(UpdateError):
    """The device's folder cannot be read or written."""


class BusyError(UpdateError):
    """Another update of this device is under way."""


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
        raise UnreachableError(
            f"{repository}: {e}: check the address, this device's network, name server and proxy "
            "(http_proxy, https_proxy), and that the server runs, then try again"
        ) from e
