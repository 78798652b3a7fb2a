"""One update by what ``agent.toml`` says: from a repository alone, or as a fleet server directs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from edge_agent.compatibility import present
from edge_agent.config import (
    authorization,
    device_id,
    device_root,
    repository,
)
from edge_agent.tables import Config
from edge_agent.update.conditions import Conditions, default_interfaces
from edge_agent.update.ddi import DdiClient
from edge_agent.update.directed import Directed
from edge_agent.update.install import read_trusted_root, repository_url
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.slots import DeviceFolder
from edge_agent.update.updater import Outcome, Updater, Wanted
from edge_agent.update.waiting import Limits


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """What came of it, and after how many seconds the server wants to be asked again, if it says."""

    outcome: Outcome
    poll_s: float | None = None


def update_once(config: Config, conditions: Conditions, watched: Callable[[Path], bool]) -> Done:
    """Ends what a killed update left, and brings this device to what it should run.

    Args:
        config: the device's settings.
        conditions: that must hold before a release is fetched; see `update_conditions`.
        watched: whether a daemon of that device folder watches over bundles on probation.

    Raises:
        ConfigError, UpdateError: if it came to nothing at all; what ran before runs on.
    """
    source = repository(config)
    folder = DeviceFolder.made(device_root(config))
    limits = Limits(
        total_seconds=config.update.time_limit,
        bytes_per_second=config.update.rate_limit,
        disk_bytes=config.update.disk_quota,
    )

    def connect() -> RepositoryClient:
        url = repository_url(source.url)
        trusted = source.trusted_root
        known = None if trusted is None else read_trusted_root(Path(trusted))
        return RepositoryClient(url, known, folder.metadata, limits)

    versions = present(config.keyword.runtime if config.keyword else "auto")
    directed = _directed(config, folder, versions)
    updater = Updater(
        folder,
        connect,
        watched=lambda: watched(folder.root),
        allowance=lambda: conditions.most_bytes(datetime.now().time(), default_interfaces()),
        present=versions,
        entered=directed.tell_phase if directed else lambda memory: None,
    )
    with folder.locked():
        if directed is None:
            return Done(outcome=updater.run(Wanted(name=source.release)))
        poll = directed.run(updater)
        return Done(outcome=updater.outcome(), poll_s=poll.sleep_s)


def _directed(config: Config, folder: DeviceFolder, versions: dict[str, str]) -> Directed | None:
    """What does as the fleet server says; None where there is none."""
    fleet = config.fleet
    if fleet is None:
        return None
    ddi = DdiClient(
        fleet.url, fleet.tenant, device_id(config), authorization(fleet), Limits(idle_seconds=15.0)
    )
    return Directed(ddi, folder.root, repository(config).release, {**fleet.attributes, **versions})
