"""python-tuf's client with what it leaves open closed: what it trusts and fetches is durable.

Which metadata and targets are trusted is python-tuf's decision alone, a delegated role being verified
anew against each role that delegates to it. From here come the order on the disk (metadata is synced
before it counts) and the fetching (bounded, resumed, verified before it has its final name).
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from tuf.api import exceptions
from tuf.api.metadata import TargetFile, Targets
from tuf.ngclient import Updater

from edge_agent.update import durable
from edge_agent.update.download import Source, download
from edge_agent.update.fetcher import BoundedFetcher
from edge_agent.update.waiting import Limits

GONE = {403, 404, 410}


class TufClient(Updater):
    """Trusted metadata in the folder `metadata`, brought up to date from `metadata_url`.

    Args:
        metadata: folder for trusted metadata; what is seen once is never rolled back.
        metadata_url: where the repository's metadata is, http(s):// or file://.
        targets_url: where its targets are.
        trusted_root: root metadata given from outside; None for that in `metadata`.
        limits: what fetching may cost.

    Raises:
        RepositoryError: if the root is not root metadata signed by its own keys.
        OSError: if the folder cannot be read or written.
    """

    def __init__(
        self,
        metadata: Path,
        metadata_url: str,
        targets_url: str,
        trusted_root: bytes | None,
        limits: Limits,
    ) -> None:
        self._bounded = BoundedFetcher(limits)
        self._targets_url = targets_url.rstrip("/")
        super().__init__(str(metadata), metadata_url, fetcher=self._bounded, bootstrap=trusted_root)

    def listed(self, name: str) -> dict[str, TargetFile]:
        """All targets that may belong to the line of releases `name`, by path; call `refresh` before.

        Those of the top-level role, and those below ``NAME/`` of the roles that it delegates them to.

        Raises:
            DownloadError, RepositoryError, OSError: if what a delegated role signed cannot be had.
        """
        top = self._trusted_set.targets
        found = dict(top.targets)
        if top.delegations is not None:
            for role, _ in top.delegations.get_roles_for_target(f"{name}/{name}"):
                below = self._load_targets(role, Targets.type).targets
                found |= {
                    path: target
                    for path, target in below.items()
                    if path.startswith(f"{name}/") and path not in found
                }
        return found

    def fetch(self, target: TargetFile, destination: Path, elsewhere: Source | None = None) -> int:
        """Fetches `target` to `destination`, unless it lies there already; gives the bytes it took.

        Args:
            target: what was signed.
            destination: where it is to appear.
            elsewhere: where it may be had if the repository holds its metadata alone.

        Raises:
            DownloadError, RepositoryError, OSError: see `edge_agent.update.download`.
        """
        if self.find_cached_target(target, str(destination)):
            return 0
        try:
            return download(self._bounded, Source(self._address(target)), target, destination)
        except exceptions.DownloadHTTPError as e:
            if elsewhere is None or e.status_code not in GONE:
                raise
            return download(self._bounded, elsewhere, target, destination)

    def _address(self, target: TargetFile) -> str:
        folder, slash, name = target.path.rpartition("/")
        if any(part in ("", ".", "..") for part in target.path.split("/")):
            raise exceptions.RepositoryError(f"target path {target.path!r}")
        if self._trusted_set.root.consistent_snapshot:
            name = f"{next(iter(target.hashes.values()))}.{name}"
        return f"{self._targets_url}/{quote(f'{folder}{slash}{name}')}"

    def _persist_file(self, filename: str, data: bytes) -> None:
        durable.write_whole(Path(filename), data)

    def _update_root_symlink(self) -> None:
        version = self._trusted_set.root.version
        link, target = Path(self._dir, "root.json"), Path("root_history", f"{version}.root.json")
        durable.replace_link(link, target)
