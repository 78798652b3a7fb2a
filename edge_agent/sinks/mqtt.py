"""Events to an MQTT 5 broker: QoS 1, from an outbox that outlives a kill and a broker away for days.

    PREFIX/DEVICE/status               retained: {"state": "online", ...}; the last will says "offline"
    PREFIX/DEVICE/SOURCE/EVENT         an event, as it stands on standard output

An event is taken out of the outbox when the broker has acknowledged it, so each arrives at least once; its
``id`` tells one that arrives twice. paho's thread sends; all else happens in the daemon's loop, by `tick`.
"""

from __future__ import annotations

import contextlib
import json
import queue
import time
from typing import Any

from edge_agent import mqtt_connection
from edge_agent.sinks.outbox import Outbox
from edge_agent.tables import Mqtt

_MOST_IN_FLIGHT = 20


class MqttSink:
    """Delivers to the broker of `settings`.

    Attributes:
        outbox: what waits.
        refused: events that the broker did not want, and that were dropped therefore.
        connected: whether the broker is there.

    Raises:
        MqttError: if the settings cannot be used.
    """

    def __init__(self, settings: Mqtt, device: str, outbox: Outbox) -> None:
        """Begins to connect.

        Args:
            settings: the broker.
            device: the device's id, a level of the topics.
            outbox: keeps what is not delivered yet.
        """
        self.outbox = outbox
        self.refused = 0
        self.connected = False
        self._top = f"{settings.topic}/{device}"
        self._sent_to = 0
        self._in_flight: dict[int, int] = {}
        self._heard: queue.SimpleQueue[tuple[str, int, bool]] = queue.SimpleQueue()
        self._status: dict[str, Any] = {}
        self._status_told: dict[str, Any] | None = None
        self._client = mqtt_connection.prepared(settings, f"edge-agent-{device}")
        self._client.max_inflight_messages_set(_MOST_IN_FLIGHT)
        self._client.will_set(f"{self._top}/status", _json({"state": "offline"}), 1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        mqtt_connection.begin(self._client, settings)

    def emit(self, event: dict[str, Any]) -> None:
        """Takes an event."""
        self.outbox.put(f"{self._top}/{event['source']}/{event['event']}", _json(event))

    def tell(self, status: dict[str, Any]) -> None:
        """How the device is now: told when it differs from what was told last."""
        self._status = {"state": "online", **status}

    def tick(self) -> None:
        """Takes what paho's thread has heard, and gives it what is next."""
        while not self._heard.empty():
            what, mid, good = self._heard.get()
            if what == "published":
                number = self._in_flight.pop(mid, None)
                if number is not None:
                    self.outbox.done(number)
                    self.refused += not good
            else:
                self.connected, self._status_told = what == "connected", None
        if not self.connected:
            return
        if self._status and self._status != self._status_told:
            self._status_told = self._status
            self._client.publish(f"{self._top}/status", _json(self._status), 1, retain=True)
        room = _MOST_IN_FLIGHT - len(self._in_flight)
        more = self.outbox.waiting > len(self._in_flight)
        for waiting in self.outbox.after(self._sent_to, room) if room and more else ():
            sent = self._client.publish(waiting.topic, waiting.payload, 1)
            self._sent_to = waiting.number
            self._in_flight[sent.mid] = waiting.number

    def close(self, seconds: float) -> None:
        """Delivers what it can within `seconds`, says goodbye, and lets go."""
        until = time.monotonic() + seconds
        self.tick()
        while self.connected and self.outbox.waiting and time.monotonic() < until:
            time.sleep(0.01)
            self.tick()
        if self.connected:
            goodbye = _json({"state": "offline", "reason": "stopped"})
            sent = self._client.publish(f"{self._top}/status", goodbye, 1, retain=True)
            # RuntimeError: the connection has gone meanwhile, and the last will speaks.
            with contextlib.suppress(RuntimeError, ValueError):
                sent.wait_for_publish(max(0.1, until - time.monotonic()))
        self._client.disconnect()
        self._client.loop_stop()
        self.tick()
        self.outbox.close()

    def _on_connect(self, _: Any, __: Any, ___: Any, code: Any, ____: Any) -> None:
        self._heard.put(("refused" if code.is_failure else "connected", 0, True))

    def _on_disconnect(self, *_: Any) -> None:
        self._heard.put(("disconnected", 0, True))

    def _on_publish(self, _: Any, __: Any, mid: int, code: Any, ___: Any) -> None:
        self._heard.put(("published", mid, not code.is_failure))


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()
