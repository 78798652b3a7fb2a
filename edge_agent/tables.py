"""The tables of ``agent.toml``: what they hold, in which unit, and what is asked of it.

`edge_agent.config` reads them; `edge_agent config --example` prints them with comments.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from edge_agent.update.conditions import parse_window

SinkName = Literal["stdout", "mqtt", "webhook"]
SINKS: tuple[SinkName, ...] = ("stdout", "mqtt", "webhook")
MQTT_SCHEME = "mqtt:"
MICROPHONE_SCHEME = "microphone:"
WYOMING_SCHEME = "wyoming:"
WAKE_SCHEME = "wyoming-wake:"
SCHEMES = (MQTT_SCHEME, MICROPHONE_SCHEME, WYOMING_SCHEME, WAKE_SCHEME)


def address_of(source: str, scheme: str) -> tuple[str, int]:
    """Host and port of a source ``SCHEMEHOST:PORT``; an address of IPv6 stands in brackets.

    Raises:
        ValueError: if it is not of this form.
    """
    host, _, port = source.removeprefix(scheme).rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    well = host and bracketed == (":" in host) and not set("[]") & set(host)
    if not well or not port.isdecimal() or not port.isascii() or not 0 <= int(port) <= 65_535:
        raise ValueError(
            f"source must be {scheme}HOST:PORT, e.g. {scheme}127.0.0.1:10400 or {scheme}[::1]:10400"
        )
    return host, int(port)


def shown_address(host: str, port: int) -> str:
    """``HOST:PORT`` as `address_of` takes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """The device itself.

    Attributes:
        id: what events call this device; empty for its host name.
        root: the device folder; empty for $STATE_DIRECTORY.
    """

    id: str = ""
    root: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Repository:
    """Where releases come from.

    Attributes:
        url: http(s):// or file:// URL, or a path, of the folder with ``metadata/``; empty for the fleet
            server's.
        release: the line of releases that this device follows.
        trusted_root: root.json to trust, given from outside; needed until one is trusted.
    """

    url: str = ""
    release: str = "keyword_spotting"
    trusted_root: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fleet:
    """A server that says what this device should run, and when: hawkBit's DDI.

    Attributes:
        url: http:// or https:// address.
        tenant: its name of the fleet.
        token_file: holds the token by which it knows this device.
        token: whether that is the device's own, or its gateway's.
        attributes: what else the server is told of this device.
    """

    url: str
    tenant: str = "default"
    token_file: str
    token: Literal["target", "gateway"] = "target"
    attributes: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or "@" in self.url:
            raise ValueError("url must begin with http:// or https://, without user and password")
        if not self.tenant or not self.token_file:
            raise ValueError("tenant and token_file must be named")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Update:
    """What an update may cost, and how often one is looked for.

    Attributes:
        rate_limit: bytes a second; None for as fast as it goes.
        time_limit: seconds for all that one update fetches.
        poll: seconds from one look of the daemon to the next; a fleet server may say otherwise.
        window: when a release may be fetched and installed, as in ``02:00-04:30``, by the device's own
            clock; empty for at any time.
        metered_bytes: the most that one may take over a metered network; None for no limit.
        metered_interfaces: patterns of the names of network interfaces that are metered.
        disk_quota: bytes that the device folder may hold beside `alarms/`; None for as much as there is room.
        probation: seconds that the daemon's workload runs a new bundle before it is kept; 0 for none.
    """

    rate_limit: int | None = None
    time_limit: float = 900.0
    poll: float = 3600.0
    probation: float = 600.0
    window: str = ""
    metered_bytes: int | None = None
    metered_interfaces: tuple[str, ...] = ("wwan*", "ppp*")
    disk_quota: int | None = None

    def __post_init__(self) -> None:
        if self.rate_limit is not None and self.rate_limit < 1:
            raise ValueError("rate_limit must be at least 1 byte a second")
        if not 1 <= self.time_limit <= 86_400:
            raise ValueError("time_limit must be 1 to 86400 seconds")
        if not 1 <= self.poll <= 31 * 86_400:
            raise ValueError("poll must be 1 second to 31 days")
        if self.window:
            parse_window(self.window)
        if self.metered_bytes is not None and self.metered_bytes < 0:
            raise ValueError("metered_bytes must be 0 or more")
        if self.disk_quota is not None and self.disk_quota < 1 << 20:
            raise ValueError("disk_quota must be at least 1048576 bytes")
        if not 0 <= self.probation <= 7 * 86_400:
            raise ValueError("probation must be 0 seconds to 7 days")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keyword:
    """The workload that hears.

    Attributes:
        source: ``-`` for standard input, or a WAV file, a file of raw samples, or a FIFO; or
            ``microphone:DEVICE`` of this device, ``wyoming:HOST:PORT`` of another, or
            ``wyoming-wake:HOST:PORT``, where a wake-word service is to listen.
        bundle: what to run; empty for the release in the device folder.
        runtime: which interpreter.
        threads: threads of one inference.
        delegate: a shared library that takes over what it can of the model, such as
            ``libedgetpu.so.1``; empty for none.
        sinks: where its events go, of those that there are.
    """

    source: str
    bundle: str = ""
    runtime: Literal["auto", "litert", "tflite_runtime"] = "auto"
    threads: int = 1
    delegate: str = ""
    sinks: tuple[SinkName, ...] = SINKS

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("source must be - or a path")
        if not 1 <= self.threads <= 64:
            raise ValueError("threads must be 1 to 64")
        for scheme in (WYOMING_SCHEME, WAKE_SCHEME):
            if self.source.startswith(scheme):
                address_of(self.source, scheme)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Anomaly:
    """The workload that watches.

    Attributes:
        source: ``-`` for standard input, or a FIFO, or a file that grows; CSV or lines of JSON. Or
            ``mqtt:TOPIC``, each message an object of JSON.
        bundle: what to run; empty for the release in the device folder.
        sinks: where its events go, of those that there are.
        alarm_bytes: what ``alarms/`` in the device folder may hold: the hour around each alarm, the
            oldest go; 0 for none.
    """

    source: str
    bundle: str = ""
    sinks: tuple[SinkName, ...] = SINKS
    alarm_bytes: int = 8 << 20

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("source must be - or a path")
        if not 0 <= self.alarm_bytes <= 1 << 40:
            raise ValueError("alarm_bytes must be 0 to 1099511627776")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What changes by itself while the device works.

    Attributes:
        room: whether thresholds of words follow the room, within the bundle's bounds, or stay as shipped.
    """

    room: Literal["follow", "shipped"] = "follow"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mqtt:
    """An MQTT 5 broker.

    Attributes:
        host: its name or address.
        port: its port.
        topic: the levels of all topics before the device's id.
        user: who we are there; empty for nobody in particular.
        password_file: holds the password.
        ca_file: certificates that the broker's must be signed by (PEM); empty for no TLS.
        queue_bytes: what may wait on the disk for a broker that is away.
    """

    host: str
    port: int = 1883
    topic: str = "edge"
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    queue_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        if not self.host or not 1 <= self.port <= 65_535:
            raise ValueError("host must be a name, and port 1 to 65535")
        if not self.topic or any(sign in self.topic for sign in "+#\0"):
            raise ValueError("topic must be levels without + and #")
        _check_queue(self.queue_bytes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Webhook:
    """A web server that is told events.

    Attributes:
        url: http:// or https:// address of the POST.
        token_file: holds a bearer token; empty for none.
        queue_bytes: what may wait on the disk for a server that is away.
    """

    url: str
    token_file: str = ""
    queue_bytes: int = 4 << 20

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("url must begin with http:// or https://")
        _check_queue(self.queue_bytes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metrics for Prometheus on loopback.

    Attributes:
        port: where; 0 for any that is free.
    """

    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError("port must be 0 to 65535")


def _check_queue(size: int) -> None:
    if not 1024 <= size <= 1 << 30:
        raise ValueError("queue_bytes must be 1024 to 1073741824")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a workload is waited for, and how it is started again; times in seconds.

    Attributes:
        start: from the start of its process to its first sign that it is ready.
        hang: without a sign of life.
        drain: from the order to end to its end.
        steady: alive for so long, it counts as well again.
        first_wait: before the second start; each further wait is twice as long.
        longest_wait: no wait is longer.
        crashes: deaths in a row that make a crash loop.
    """

    start: float = 30.0
    hang: float = 20.0
    drain: float = 10.0
    steady: float = 120.0
    first_wait: float = 1.0
    longest_wait: float = 60.0
    crashes: int = 5

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name != "crashes" and not 0.01 <= getattr(self, field.name) <= 86_400:
                raise ValueError(f"{field.name} must be 0.01 to 86400 seconds")
        if not 1 <= self.crashes <= 1000:
            raise ValueError("crashes must be 1 to 1000")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one device, by the tables of agent.toml."""

    repository: Repository | None = None
    fleet: Fleet | None = None
    device: Device = Device()
    update: Update = Update()
    keyword: Keyword | None = None
    anomaly: Anomaly | None = None
    mqtt: Mqtt | None = None
    webhook: Webhook | None = None
    metrics: Metrics | None = None
    adaptation: Adaptation = Adaptation()
    limits: Limits = Limits()
