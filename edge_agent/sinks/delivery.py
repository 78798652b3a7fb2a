"""All sinks of a device, as its settings say."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from edge_agent.config import ConfigError
from edge_agent.mqtt_connection import MqttError
from edge_agent.sinks.json_lines import JsonLines
from edge_agent.sinks.metrics import Figures, MetricsError, MetricsServer, SinkFigures
from edge_agent.sinks.mqtt import MqttSink
from edge_agent.sinks.outbox import Outbox
from edge_agent.sinks.webhook import WebhookSink
from edge_agent.tables import Config
from edge_agent.update import durable
from edge_agent.update.durable import storage_errors


class Sink(Protocol):
    """Where events go that must not be lost."""

    outbox: Outbox
    refused: int
    connected: bool

    def emit(self, event: dict[str, Any]) -> None: ...
    def tell(self, status: dict[str, Any]) -> None: ...
    def tick(self) -> None: ...
    def close(self, seconds: float) -> None: ...


class Delivery:
    """Gives events to standard output, the broker, the web server; and serves the metrics.

    Attributes:
        device: what events call this device.
    """

    def __init__(self, lines: JsonLines, root: Path, figures: Callable[[], Figures]) -> None:
        """Delivers to standard output alone, until `open`.

        Args:
            lines: standard output.
            root: the device folder; what waits is kept in ``queue/``.
            figures: what metrics are made of.
        """
        self.device = socket.gethostname()
        self._lines = lines
        self._folder = root / "queue"
        self._figures = figures
        self._sinks: dict[str, Sink] = {}
        self._metrics: MetricsServer | None = None
        self._tables: Any = None

    def open(self, config: Config, seconds: float) -> None:
        """Takes the settings; sinks whose settings are the same go on, others have `seconds` to end.

        Raises:
            ConfigError: if they cannot be used; nothing is delivered to the sinks in question then.
            StorageError: if the folder for what waits cannot be made.
        """
        self.device = config.device.id or socket.gethostname()
        tables = (config.device, config.mqtt, config.webhook, config.metrics)
        if tables == self._tables:
            return
        self.close(seconds)
        self._tables = tables
        with storage_errors(self._folder):
            durable.make_folder(self._folder)
        try:
            if config.mqtt is not None:
                outbox = Outbox(self._folder / "mqtt.db", config.mqtt.queue_bytes)
                device = re.sub(r"[+#/\0]", "-", self.device)  # it is one level of the topics
                self._sinks["mqtt"] = MqttSink(config.mqtt, device, outbox)
            if config.webhook is not None:
                outbox = Outbox(self._folder / "webhook.db", config.webhook.queue_bytes)
                self._sinks["webhook"] = WebhookSink(config.webhook, outbox)
            if config.metrics is not None:
                self._metrics = MetricsServer(config.metrics.port, self._figures)
        except (MqttError, MetricsError) as e:
            raise ConfigError(str(e)) from e
        except OSError as e:
            raise ConfigError(f"[webhook] token_file: {e}: check it in agent.toml") from e

    def emit(self, event: dict[str, Any], names: tuple[str, ...] | None) -> None:
        """Gives `event` to the sinks with these names; None for all."""
        if names is None or "stdout" in names:
            self._lines.emit(event)
        for name, sink in self._sinks.items():
            if names is None or name in names:
                sink.emit(event)
                sink.tick()

    def tick(self, status: dict[str, Any]) -> None:
        """Time has passed; the device is as `status` says."""
        for sink in self._sinks.values():
            sink.tell(status)
            sink.tick()

    def close(self, seconds: float) -> None:
        """Ends all but standard output, with `seconds` for each to deliver what waits."""
        for sink in self._sinks.values():
            sink.close(seconds)
        self._sinks.clear()
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
        self._tables = None

    @property
    def metrics_port(self) -> int | None:
        """Where metrics are served, if they are."""
        return None if self._metrics is None else self._metrics.port

    def figures(self) -> dict[str, SinkFigures]:
        """How the sinks are."""
        lines = SinkFigures(connected=True, waiting=0, dropped=self._lines.dropped)
        return {"stdout": lines} | {
            name: SinkFigures(
                connected=sink.connected,
                waiting=sink.outbox.waiting,
                dropped=sink.outbox.dropped + sink.refused,
            )
            for name, sink in list(self._sinks.items())
        }
