"""Why an update did not happen; every message says it in plain words, with the next step.

Whatever is raised, the slot that was running before still is.
"""

from __future__ import annotations


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
