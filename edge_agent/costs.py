"""What a bundle costs on this device: time of an inference, CPU of a second of sound, memory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_agent.bundle.archive import Bundle
from edge_agent.bundle.manifest import AnomalyManifest, ImageManifest
from edge_agent.features.audio import Codes, Float32, Pcm, front_end
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.spotting import Spotter
from edge_agent.pictures.classifier import PictureClassifier
from edge_agent.runtime import Runtime
from edge_agent.watching.bundle import open_scorer
from edge_agent.workloads.counting import resident_bytes

_WARM_UP, _WARM_UP_S = 20, 2
_ROWS = 2_000
_PICTURES = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What was measured.

    Attributes:
        runtime: ``litert``, ``tflite_runtime`` or ``numpy``.
        version: its version.
        inferences: windows, rows or pictures that were timed.
        median_ms: of one of them.
        p95_ms: 95 of 100 took at most so long.
        worst_ms: the longest.
        budget_ms: what the bundle allows one to take.
        load_ms: from the bundle in memory to a model that is ready.
        memory_bytes: resident in this process at the end.
        cpu_ms_per_second: CPU of a second of sound, features and policy included; None without sound.
        features_ms_per_second: that of the features alone.
    """

    runtime: str
    version: str
    inferences: int
    median_ms: float
    p95_ms: float
    worst_ms: float
    budget_ms: float
    load_ms: float
    memory_bytes: int
    cpu_ms_per_second: float | None = None
    features_ms_per_second: float | None = None


def measure(bundle: Bundle, *, runtime: Runtime = "auto", seconds: int = 30) -> Costs:
    """Measures `bundle`, of any workload.

    Args:
        bundle: what to measure.
        runtime: which interpreter.
        seconds: sound that a keyword bundle hears: noise whose level wanders.

    Raises:
        ClassifierError, RuntimeModelError, WatchError, BundleError: if it cannot be run here.
    """
    if isinstance(bundle.manifest, AnomalyManifest):
        return _rows(bundle, bundle.manifest)
    if isinstance(bundle.manifest, ImageManifest):
        return _pictures(bundle, bundle.manifest, runtime)
    return _sound(bundle, runtime, seconds)


class _TimedClassifier(KeywordClassifier):
    """A classifier that notes how long each window takes."""

    def timed(self) -> list[float]:
        """Begins a list of durations, seconds, and gives it."""
        self._durations: list[float] = []
        return self._durations

    def consecutive(self) -> Callable[[Codes], Float32]:
        """As in `KeywordClassifier`."""
        answer, durations = super().consecutive(), self._durations

        def timed(window: Codes) -> Float32:
            begun = time.perf_counter()
            found = answer(window)
            durations.append(time.perf_counter() - begun)
            return found

        return timed


def _sound(bundle: Bundle, runtime: Runtime, seconds: int) -> Costs:
    begun = time.perf_counter()
    classifier = _TimedClassifier(bundle.manifest, bundle.files, runtime=runtime)
    load_s = time.perf_counter() - begun
    rate = classifier.features.sample_rate
    block = classifier.policy.hop_frames * classifier.features.stride_samples
    durations = classifier.timed()
    spotter = Spotter(classifier)
    _played(spotter.process, _noise(_WARM_UP_S, rate), block)
    del durations[:]
    cpu_s = _played(spotter.process, _noise(seconds, rate), block)
    features_s = _played(front_end(classifier.features).process, _noise(seconds, rate), block)
    return Costs(
        runtime=classifier.model.runtime,
        version=classifier.model.version,
        **_times(durations, bundle, load_s),
        cpu_ms_per_second=1000 * cpu_s / seconds,
        features_ms_per_second=1000 * features_s / seconds,
    )


def _played(take: Callable[[Pcm], Any], sound: Iterable[Pcm], block: int) -> float:
    """CPU seconds of `take` for all of `sound`, a block at a time as a live source gives it."""
    used = 0.0
    for pcm in sound:
        begun = time.process_time()
        for start in range(0, len(pcm), block):
            take(pcm[start : start + block])
        used += time.process_time() - begun
    return used


def _noise(seconds: int, rate: int) -> Iterator[Pcm]:
    """Noise whose level wanders, a second at a time: what is measured is the bundle's memory."""
    random = np.random.default_rng(1)
    for level in 10 ** (2 + np.abs(np.cumsum(random.normal(0, 0.1, seconds))) % 1.8):
        yield np.clip(random.normal(size=rate) * level, -32768, 32767).astype(np.int16)


def _rows(bundle: Bundle, manifest: AnomalyManifest) -> Costs:
    begun = time.perf_counter()
    scorer = open_scorer(bundle)
    load_s = time.perf_counter() - begun
    rows = bundle.array(manifest.golden.rows).astype(np.float64)
    durations = _timed(lambda n: scorer.process(rows[n % len(rows)][None, :]), _ROWS)
    return Costs(runtime="numpy", version=np.__version__, **_times(durations, bundle, load_s))


def _pictures(bundle: Bundle, manifest: ImageManifest, runtime: Runtime) -> Costs:
    begun = time.perf_counter()
    model = PictureClassifier(manifest, bundle.files, runtime=runtime).model
    load_s = time.perf_counter() - begun
    inputs: npt.NDArray[np.int8] = bundle.array(manifest.golden.inputs).astype(np.int8)
    durations = _timed(lambda n: model.invoke(inputs[n % len(inputs)]), _PICTURES)
    return Costs(runtime=model.runtime, version=model.version, **_times(durations, bundle, load_s))


def _timed(run: Callable[[int], Any], count: int) -> list[float]:
    durations = []
    for number in range(_WARM_UP + count):
        begun = time.perf_counter()
        run(number)
        durations.append(time.perf_counter() - begun)
    return durations[_WARM_UP:]


def _times(durations: Sequence[float], bundle: Bundle, load_s: float) -> dict[str, Any]:
    median, p95, worst = np.quantile(durations, [0.5, 0.95, 1.0]) * 1000
    return {
        "inferences": len(durations),
        "median_ms": float(median),
        "p95_ms": float(p95),
        "worst_ms": float(worst),
        "budget_ms": bundle.manifest.budget.latency_ms,
        "load_ms": 1000 * load_s,
        "memory_bytes": resident_bytes(),
    }
