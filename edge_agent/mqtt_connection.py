"""A connection to the MQTT broker of the settings, for the sink and the source alike (MQTT 5).

It is kept up by paho's own thread: a broker that is away is tried again after 1 to 60 s, for as long as it
takes, and nobody waits for it.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties

from edge_agent.tables import Mqtt

_KEEPALIVE_S = 30
_MOST_BETWEEN_TRIES_S = 60
_MOST_SECRET_BYTES = 4096


class MqttError(Exception):
    """The settings of the broker cannot be used; the message says which."""


def prepared(settings: Mqtt, client_id: str) -> mqtt.Client:
    """A client that has not been told to connect yet.

    Raises:
        MqttError: if a file that the settings name cannot be read.
    """
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
    client.reconnect_delay_set(1, _MOST_BETWEEN_TRIES_S)
    try:
        if settings.user:
            client.username_pw_set(settings.user, secret(settings.password_file))
        if settings.ca_file:
            client.tls_set(settings.ca_file, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    except (OSError, ValueError) as e:
        raise MqttError(f"[mqtt]: {e}: check password_file and ca_file in agent.toml") from e
    return client


def begin(client: mqtt.Client, settings: Mqtt, session: Properties | None = None) -> None:
    """Lets `client` connect, and stay connected, in a thread of its own.

    Args:
        client: one that is `prepared`.
        settings: the broker.
        session: the properties of a session that the broker keeps; None for a new one each time.
    """
    client.connect_async(
        settings.host,
        settings.port,
        _KEEPALIVE_S,
        clean_start=session is None,
        properties=session,
    )
    client.loop_start()


def secret(path: str) -> str | None:
    """What stands in the file at `path`, without white space around it; None without a path."""
    if not path:
        return None
    with Path(path).open("rb") as file:
        return file.read(_MOST_SECRET_BYTES).decode().strip()
