"""What can go wrong with a repository; every message names the file and the next step."""


class RepositoryError(Exception):
    """The repository cannot do what was asked."""


class ReleaseError(RepositoryError):
    """The release asked for breaks a rule: its name, its version, or what it holds."""


class KeysError(RepositoryError):
    """A signing key is missing, unsafe or not the repository's; never says what is in it."""


class RepositoryBusyError(RepositoryError):
    """Another publisher holds the repository."""


class RepositoryDamagedError(RepositoryError):
    """Metadata in the repository is missing, unreadable, or not signed by its keys."""


class RepositoryWriteError(RepositoryError):
    """A file could not be written; the repository is as it was."""
