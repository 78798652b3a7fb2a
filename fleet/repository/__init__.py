"""The signed update repository (TUF): what a device may run is decided by its metadata alone."""

from fleet.repository.errors import (
    KeysError,
    ReleaseError,
    RepositoryBusyError,
    RepositoryDamagedError,
    RepositoryError,
    RepositoryWriteError,
)
from fleet.repository.releases import Release
from fleet.repository.repository import Repository, refresh
from fleet.repository.sealing import Lifetimes

__all__ = [
    "KeysError",
    "Lifetimes",
    "Release",
    "ReleaseError",
    "Repository",
    "RepositoryBusyError",
    "RepositoryDamagedError",
    "RepositoryError",
    "RepositoryWriteError",
    "refresh",
]
