"""Metrics for Prometheus, on loopback alone: what a scrape sees is collected when it asks.

Counts go on over restarts of a workload's process; those of a daemon that was restarted begin at 0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from edge_agent.workloads.counting import resident_bytes
from edge_agent.workloads.messages import LATENCY_BOUNDS_S, SCORE_BOUNDS, Counters

LOOPBACK = "127.0.0.1"


class MetricsError(Exception):
    """The port cannot be had; the message names it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkloadFigures:
    """What is known of one workload: see `edge_agent.supervisor.workload`.

    `adaptation` is how far what was learned here is from what was shipped: 0 where nothing was.
    """

    running: bool
    starts: int
    digest: str
    counters: Counters
    adaptation: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class SinkFigures:
    """What is known of one sink."""

    connected: bool
    waiting: int
    dropped: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """All that metrics are made of.

    Attributes:
        workloads: by name.
        sinks: by name.
        update_state: where the update state machine stands.
        version: of the release in the current slot; empty for none.
        update_failed: whether the last update failed.
    """

    workloads: dict[str, WorkloadFigures]
    sinks: dict[str, SinkFigures]
    update_state: str
    version: str
    update_failed: bool


class MetricsServer:
    """Serves the metrics of `figures` at http://127.0.0.1:`port`/metrics.

    Attributes:
        port: where; the one that was found free, if 0 was asked for.

    Raises:
        MetricsError: if the port cannot be had.
    """

    def __init__(self, port: int, figures: Callable[[], Figures]) -> None:
        registry = CollectorRegistry()
        registry.register(_Device(figures))
        try:
            self._server, self._thread = start_http_server(port, LOOPBACK, registry)
        except OSError as e:
            raise MetricsError(
                f"[metrics] port {port}: cannot be had ({e.strerror}): give another in agent.toml"
            ) from e
        self.port = self._server.server_port

    def close(self) -> None:
        """Serves no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Device(Collector):
    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def describe(self) -> list[Any]:
        """Nothing is asked for when the collector is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        figures = self._figures()
        names = list(figures.workloads)
        each = [figures.workloads[name] for name in names]
        counters = [workload.counters for workload in each]
        for name, text, values in (
            ("inferences", "Windows or rows that were scored.", [c.inferences for c in counters]),
            ("triggers", "Detections, or alarms that began.", [c.triggers for c in counters]),
            ("audio_seconds", "Audio that was heard, seconds.", [c.input_s for c in counters]),
            ("audio_gaps", "Times that audio broke off.", [c.gaps for c in counters]),
            ("audio_dropped_seconds", "Audio that did not come.", [c.gap_s for c in counters]),
            ("bad_rows", "Rows of which something was wrong.", [c.bad_rows for c in counters]),
            ("starts", "Processes that were started.", [w.starts for w in each]),
        ):
            yield _by(CounterMetricFamily, f"edge_agent_{name}", text, "workload", names, values)
        yield _by(
            GaugeMetricFamily, "edge_agent_up", "Whether the workload runs.", "workload", names,
            [float(w.running) for w in each],
        )  # fmt: skip
        yield _by(
            GaugeMetricFamily, "edge_agent_adaptation_distance",
            "How far what was learned here is from what was shipped, as a share of its length.",
            "workload", names, [w.adaptation for w in each],
        )  # fmt: skip
        yield _by(
            GaugeMetricFamily, "edge_agent_threshold_drift",
            "The largest distance of a threshold from the bundle's.",
            "workload", names, [c.drift for c in counters],
        )  # fmt: skip
        latency = HistogramMetricFamily(
            "edge_agent_inference_seconds", "Duration of an inference.", labels=["workload"]
        )
        scores = HistogramMetricFamily(
            "edge_agent_score",
            "Highest probability of a word; score of a row as a multiple of its threshold.",
            labels=["workload"],
        )
        for name, count in zip(names, counters, strict=True):
            latency.add_metric([name], _buckets(LATENCY_BOUNDS_S, count.latency), count.latency_s)
            scores.add_metric([name], _buckets(SCORE_BOUNDS, count.scores), count.score_sum)
        yield latency
        yield scores
        memory = [*(c.rss_bytes for c in counters), resident_bytes()]
        yield _by(
            GaugeMetricFamily, "edge_agent_resident_bytes", "Resident memory.", "process",
            [*names, "supervisor"], memory,
        )  # fmt: skip
        bundle = InfoMetricFamily("edge_agent_bundle", "What runs.", labels=["workload"])
        for name, workload in zip(names, each, strict=True):
            if workload.digest:
                bundle.add_metric([name], {"digest": workload.digest})
        yield bundle
        yield from _updates(figures)
        yield from _sinks(figures.sinks)


def _updates(figures: Figures) -> Iterator[Any]:
    release = InfoMetricFamily("edge_agent_release", "The release in the current slot.")
    release.add_metric([], {"version": figures.version})
    yield release
    yield _by(
        GaugeMetricFamily, "edge_agent_update_state", "Where an update stands.", "state",
        [figures.update_state], [1],
    )  # fmt: skip
    failed = GaugeMetricFamily("edge_agent_update_failed", "Whether the last update failed.")
    failed.add_metric([], float(figures.update_failed))
    yield failed


def _sinks(sinks: dict[str, SinkFigures]) -> Iterator[Any]:
    names, each = list(sinks), list(sinks.values())
    for family, name, text, values in (
        (GaugeMetricFamily, "connected", "Whether it is reached.", [s.connected for s in each]),
        (GaugeMetricFamily, "waiting", "Events that wait.", [s.waiting for s in each]),
        (CounterMetricFamily, "dropped", "Events that were lost.", [s.dropped for s in each]),
    ):
        yield _by(family, f"edge_agent_sink_{name}", text, "sink", names, values)


def _by(
    family: Any, name: str, text: str, label: str, names: Sequence[str], values: Sequence[float]
) -> Any:
    metric = family(name, text, labels=[label])
    for key, value in zip(names, values, strict=True):
        metric.add_metric([key], float(value))
    return metric


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus's form: how many are at most each bound."""
    total, buckets = 0, []
    for bound, count in zip([*bounds, math.inf], counts, strict=True):
        total += count
        buckets.append(("+Inf" if math.isinf(bound) else repr(bound), float(total)))
    return buckets
