"""Rows from a topic of the MQTT broker: each message an object of JSON, which becomes a line.

The session is kept by the broker for an hour, so messages of QoS 1 that come while the process is started
again are not lost. What cannot be taken fast enough is bounded; the oldest goes.
"""

from __future__ import annotations

import collections
import threading
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent import mqtt_connection
from edge_agent.mqtt_connection import MqttError
from edge_agent.sources.patient import Patience, SourceError
from edge_agent.tables import Mqtt

_WAIT_S = 0.25
_MOST_WAITING = 10_000
_LONGEST_PAYLOAD = 1 << 20
_SESSION_S = 3600


class MqttBytes:
    """Lines of JSON from the topics that `topic` matches, without end.

    Attributes:
        dropped: messages that came too fast, or were too long.
    """

    def __init__(self, settings: Mqtt, topic: str, client_id: str, patience: Patience) -> None:
        """Begins to connect.

        Raises:
            SourceError: if the settings cannot be used.
        """
        self.dropped = 0
        self._topic = topic
        self._patience = patience
        self._lines: collections.deque[bytes] = collections.deque()
        self._come = threading.Condition()
        try:
            self._client = mqtt_connection.prepared(settings, client_id)
        except MqttError as e:
            raise SourceError(str(e)) from e
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = _SESSION_S
        mqtt_connection.begin(self._client, settings, session)

    def read(self, count: int) -> bytes:
        """Whole lines, about `count` bytes at most; none only when told to stop."""
        while not self._patience.stopped:
            with self._come:
                if not self._lines:
                    self._come.wait(_WAIT_S)
                taken = b""
                while self._lines and (not taken or len(taken) + len(self._lines[0]) <= count):
                    taken += self._lines.popleft()
            if taken:
                self._patience.fed()
                return taken
            self._patience.waited()
        self._client.loop_stop()
        return b""

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, code: Any, ___: Any) -> None:
        if not code.is_failure:
            client.subscribe(self._topic, qos=1)

    def _on_message(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        if len(message.payload) > _LONGEST_PAYLOAD:
            self.dropped += 1
            return
        line = bytes(message.payload).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"
        with self._come:
            if len(self._lines) >= _MOST_WAITING:
                self._lines.popleft()
                self.dropped += 1
            self._lines.append(line)
            self._come.notify()
