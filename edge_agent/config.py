"""Reading ``agent.toml``, the settings of one device. Unknown keys are errors, with a suggestion.

`edge_agent.tables` says what stands in it.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import socket
import tomllib
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from edge_agent.decoding import DecodeError, decode
from edge_agent.tables import MQTT_SCHEME, SCHEMES, Anomaly, Config, Fleet, Keyword, Repository
from edge_agent.update.conditions import Conditions, parse_window

STDIN = "-"
_MAX_BYTES = 256 * 1024


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the key and the next step."""


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


def read_runnable(path: Path) -> Config:
    """The configuration at `path`, if a daemon can run by it.

    Raises:
        ConfigError: if it cannot.
    """
    config = read_config(path)
    workloads = [table for table in (config.keyword, config.anomaly) if table is not None]
    if not workloads:
        raise ConfigError(f"{path}: has neither [keyword] nor [anomaly]: nothing is to be run")
    for key in ("source", "bundle"):
        values = [getattr(table, key) for table in workloads]
        if len(values) == 2 and values[0] == values[1]:
            what = repr(values[0]) if values[0] else "the release of the device folder"
            raise ConfigError(
                f"{path}: keyword.{key} and anomaly.{key} are both {what}: give one of them its own"
            )
    mqtt_source = config.anomaly is not None and config.anomaly.source.startswith(MQTT_SCHEME)
    if mqtt_source and config.mqtt is None:
        raise ConfigError(f"{path}: anomaly.source is a topic: give [mqtt] with the broker's host")
    return config


def device_root(config: Config) -> Path:
    """The device folder.

    Raises:
        ConfigError: if neither the configuration nor $STATE_DIRECTORY names it.
    """
    root = config.device.root or os.environ.get("STATE_DIRECTORY", "")
    if not root:
        raise ConfigError("no device folder: set device.root in agent.toml, or $STATE_DIRECTORY")
    return Path(root)


def repository(config: Config) -> Repository:
    """Where releases come from: by default, from the fleet server.

    Raises:
        ConfigError: if the configuration does not say.
    """
    source = config.repository or Repository()
    if source.url:
        return source
    if config.fleet is None:
        raise ConfigError("repository: is missing: give [repository] with its url in agent.toml")
    url = f"{config.fleet.url.rstrip('/')}/{quote(config.fleet.tenant, '')}/tuf"
    return dataclasses.replace(source, url=url)


def device_id(config: Config) -> str:
    """What events and servers call this device."""
    return config.device.id or socket.gethostname()


def authorization(fleet: Fleet) -> str:
    """By which the server of `fleet` knows this device, as the header's value.

    Raises:
        ConfigError: if the token cannot be read.
    """
    try:
        token = Path(fleet.token_file).read_text().strip()
    except (OSError, ValueError) as e:
        raise ConfigError(f"fleet.token_file: {fleet.token_file}: cannot be read: {e}") from e
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"fleet.token_file: {fleet.token_file}: holds no token: put it there alone, on one line"
        )
    return f"{'TargetToken' if fleet.token == 'target' else 'GatewayToken'} {token}"


def update_conditions(config: Config) -> Conditions:
    """What must hold before a release is fetched."""
    update = config.update
    return Conditions(
        window=parse_window(update.window) if update.window else None,
        metered_bytes=update.metered_bytes,
        metered_interfaces=update.metered_interfaces,
    )


def _refuse_unknown(type_: Any, content: Any, where: str) -> None:
    if not isinstance(content, dict):
        return
    hints = typing.get_type_hints(type_)
    for key, value in content.items():
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1)
            known = f"do you mean {near[0]}?" if near else f"known are {', '.join(sorted(hints))}"
            raise DecodeError(f"{where}{key}: is not known: {known}")
        table = _table_type(hints[key])
        if table is not None:
            _refuse_unknown(table, value, f"{where}{key}.")


def _table_type(hint: Any) -> Any:
    """The dataclass that `hint` is or, being ``X | None``, may hold; None for anything else."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((option for option in options if dataclasses.is_dataclass(option)), None)


def _located(config: Config, folder: Path) -> Config:
    """`config` with its paths taken from `folder`."""

    def path(text: str) -> str:
        named = bool(text) and text != STDIN and not text.startswith(SCHEMES)
        return str(folder / text) if named else text

    repository, keyword, anomaly = config.repository, config.keyword, config.anomaly
    mqtt, webhook, fleet = config.mqtt, config.webhook, config.fleet
    return dataclasses.replace(
        config,
        device=dataclasses.replace(config.device, root=path(config.device.root)),
        repository=repository and _located_repository(repository, folder),
        fleet=fleet and dataclasses.replace(fleet, token_file=path(fleet.token_file)),
        keyword=keyword and _located_workload(keyword, path),
        anomaly=anomaly and _located_workload(anomaly, path),
        mqtt=mqtt
        and dataclasses.replace(
            mqtt, password_file=path(mqtt.password_file), ca_file=path(mqtt.ca_file)
        ),
        webhook=webhook and dataclasses.replace(webhook, token_file=path(webhook.token_file)),
    )


def _located_repository(repository: Repository, folder: Path) -> Repository:
    if repository.url and "://" not in repository.url:
        repository = dataclasses.replace(repository, url=str(folder / repository.url))
    if repository.trusted_root is not None:
        root = str(folder / repository.trusted_root)
        repository = dataclasses.replace(repository, trusted_root=root)
    return repository


_Workload = TypeVar("_Workload", Keyword, Anomaly)


def _located_workload(table: _Workload, path: Callable[[str], str]) -> _Workload:
    return dataclasses.replace(table, source=path(table.source), bundle=path(table.bundle))
