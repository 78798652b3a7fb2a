"""``agent.toml``: the settings of one device. Unknown keys are errors, with a suggestion.

[device]
root = "/var/lib/edge_agent"        # the device folder; default: $STATE_DIRECTORY

[repository]
url = "https://example.org/repository"
release = "keyword_spotting"        # the line of releases that this device follows
trusted_root = "root.json"          # beside this file; where the device trusts no root yet

[update]
rate_limit = 65536                  # bytes a second; default: no limit
time_limit = 900.0                  # seconds for all that one update fetches
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import typing
from pathlib import Path
from typing import Any

from edge_agent.decoding import DecodeError, decode

_MAX_BYTES = 256 * 1024


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the key and the next step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """The device itself.

    Attributes:
        root: the device folder; empty for $STATE_DIRECTORY.
    """

    root: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repository:
    """Where releases come from.

    Attributes:
        url: http(s):// or file:// URL, or a path, of the folder with ``metadata/``.
        release: the line of releases that this device follows.
        trusted_root: root.json to trust, given from outside; needed until one is trusted.
    """

    url: str
    release: str = "keyword_spotting"
    trusted_root: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Update:
    """What an update may cost.

    Attributes:
        rate_limit: bytes a second; None for as fast as it goes.
        time_limit: seconds for all that one update fetches.
    """

    rate_limit: int | None = None
    time_limit: float = 900.0

    def __post_init__(self) -> None:
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError("rate_limit must be at least 1 byte a second")
        if not 1 <= self.time_limit <= 86_400:
            raise ValueError("time_limit must be 1 to 86400 seconds")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one device, by the tables of agent.toml."""

    repository: Repository
    device: Device = Device()
    update: Update = Update()


def read_config(path: Path) -> Config:
    """Reads agent.toml at `path`; paths in it are taken from its folder.

    Raises:
        ConfigError: if it cannot be read, or a key is unknown, missing or of another type.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.loads(file.read(_MAX_BYTES).decode())
    except OSError as e:
        raise ConfigError(
            f"{path}: cannot be read ({e.strerror}): give the agent's agent.toml"
        ) from e
    except (ValueError, RecursionError) as e:
        raise ConfigError(f"{path}: not TOML: {e}") from e
    try:
        _refuse_unknown(Config, content, "")
        config = decode(Config, content)
    except (DecodeError, RecursionError) as e:
        raise ConfigError(f"{path}: {e}") from e
    return _located(config, path.absolute().parent)


def device_root(config: Config) -> Path:
    """The device folder.

    Raises:
        ConfigError: if neither the configuration nor $STATE_DIRECTORY names it.
    """
    root = config.device.root or os.environ.get("STATE_DIRECTORY", "")
    if not root:
        raise ConfigError("no device folder: set device.root in agent.toml, or $STATE_DIRECTORY")
    return Path(root)


def _refuse_unknown(type_: Any, content: Any, where: str) -> None:
    if not isinstance(content, dict):
        return
    hints = typing.get_type_hints(type_)
    for key, value in content.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1)
            known = f"do you mean {near[0]}?" if near else f"known are {', '.join(sorted(hints))}"
            raise DecodeError(f"{where}{key}: is not known: {known}")
        if dataclasses.is_dataclass(hints[key]):
            _refuse_unknown(hints[key], value, f"{where}{key}.")


def _located(config: Config, folder: Path) -> Config:
    repository, device = config.repository, config.device
    if "://" not in repository.url:
        repository = dataclasses.replace(repository, url=str(folder / repository.url))
    if repository.trusted_root is not None:
        repository = dataclasses.replace(
            repository, trusted_root=str(folder / repository.trusted_root)
        )
    if device.root:
        device = dataclasses.replace(device, root=str(folder / device.root))
    return dataclasses.replace(config, repository=repository, device=device)
