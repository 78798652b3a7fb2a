"""What ingest and features cost as recordings grow, and what one recording more costs.

    make bench-scale [ARGS="1000 10000 100000"]

The recordings are synthetic: one second of 16 kHz 16-bit WAV each, twelve labels, a speaker for every
25 of them; each is a random cut of a minute of noise and tones, at a random level, so no two are alike.
Transform makes no views and no clips of its own here, so that a clip is one pass of the front end, which
is what the bare front end is given too. There are two front ends, and what the steps cost is held against
each: `log_mel` takes a third of the time that TensorFlow Lite for Microcontrollers' (`micro`) takes, while
to read and to hash a clip takes the same before both. CPU times are of a step's process and all that it
started; what a step takes for its first 200 clips, start-up and all, is set apart. Memory is the highest
resident set of one process.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import hashlib
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.base import PREVIOUS, Metrics
from tests.bench.table import Figure, publish

_RATE = 16_000
_LABELS = ("_silence_", "_unknown_", *(f"word{number}" for number in range(10)))
_FEW = 200
_BARE = 2_000
_RECORDED_ONLY: dict[str, Any] = {
    "train_views": 0,
    "eval_views": 0,
    "made_unknown": 0.0,
    "made_silence": 0.0,
}
_ONE = ("--runner=DirectRunner",)
_TWO = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


def main() -> None:
    """Measures each number of clips and publishes the figures."""
    sizes = [int(word) for word in sys.argv[1:]] or [1_000, 10_000]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            place = Path(folder) / str(size)
            figures += _measure(place, size)
            shutil.rmtree(place)
    publish("scale", figures)


def _measure(place: Path, clips: int) -> list[Figure]:
    for run, count in (("few", _FEW), ("all", clips)):
        for number in range(count):
            write_clip(place / run / "data", number)
    data = place / "all" / "data"
    bare = {name: _apart(_bare, data, name)["bare"] for name in ("log_mel", "micro")}
    few = {step: _apart(_step, step, place / "few", place / "few", _ONE) for step in _STEPS}
    one = {step: _apart(_step, step, place / "all", place / "all", _ONE) for step in _STEPS}
    two = {step: _apart(_step, step, place / "all", place / "two", _TWO) for step in _STEPS}
    write_clip(data, clips)
    more = {
        step: _apart(_step, step, place / "all", place / "more", _ONE, place / "all")
        for step in _STEPS
    }
    figures = []

    def add(figure: str, ours: float, unit: str, peer: float = 0.0) -> None:
        name = f"{clips:,} clips: {figure}"
        figures.append(Figure(figure=name, ours=ours, peer=peer, unit=unit))

    for name, cost in bare.items():
        add(f"the bare front end {name}, CPU a clip", cost * 1e3, "ms")
    for step in _STEPS:
        cost = (one[step]["cpu"] - few[step]["cpu"]) / (clips - _FEW)
        add(f"{step}, CPU a clip, and log_mel's", cost * 1e3, "ms", bare["log_mel"] * 1e3)
        if step == "ExampleGen":
            add(f"{step}, CPU a clip, and micro's", cost * 1e3, "ms", bare["micro"] * 1e3)
        add(f"{step}, CPU of the first {_FEW}", few[step]["cpu"], "s")
        add(f"{step}, two processes, and one, wall", two[step]["wall"], "s", one[step]["wall"])
        add(f"{step}, memory of a process", one[step]["memory"], "MB")
        add(f"{step}, memory of a worker of two", two[step]["workers"], "MB")
        add(f"{step}, one more: shards made, of", more[step]["made"], "", more[step]["shards"])
        add(f"{step}, one more, and all, wall", more[step]["wall"], "s", one[step]["wall"])
        add(f"{step}, one more, and all, CPU", more[step]["cpu"], "s", one[step]["cpu"])
    return figures


def write_clip(data: Path, number: int) -> None:
    """Writes the recording `number`: the same for the same number."""
    random = np.random.default_rng(number)
    speaker = hashlib.sha256(str(number // 25).encode()).hexdigest()[:8]
    start = int(random.integers(len(_MINUTE) - _RATE))
    level = 10.0 ** random.uniform(-1.5, 0.0)
    path = data / _LABELS[number % len(_LABELS)] / f"{speaker}_nohash_{number}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, _RATE, _RATE, "NONE", ""))
        file.writeframes((_MINUTE[start : start + _RATE] * level).astype("<i2").tobytes())


def _minute() -> Any:
    random = np.random.default_rng(1)
    seconds = np.arange(60 * _RATE) / _RATE
    tones = sum(np.sin(2 * np.pi * random.uniform(100, 4_000) * seconds) for _ in range(8))
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * seconds)
    return (tones * swell + random.normal(0, 0.5, len(seconds))) * 2_500


_MINUTE = _minute()


def _step(
    step: str, source: Path, run: Path, options: tuple[str, ...], earlier: Path | None = None
) -> Metrics:
    """Runs `step` on the recordings of `source` (a run), into `run`."""
    target = run / step
    target.mkdir(parents=True)
    before = {} if earlier is None else {PREVIOUS: earlier / step}
    if step == "ExampleGen":
        from components.example_gen.component import ExampleGenParameters
        from components.example_gen.executor import execute as generate

        recordings = {"recordings": source / "data", **before}
        return generate(
            recordings, {"examples": target}, ExampleGenParameters(beam_options=options)
        )
    from components.transform.component import TransformParameters
    from components.transform.executor import execute as transform

    parameters = TransformParameters(**_RECORDED_ONLY, beam_options=options)
    return transform({"examples": run / "ExampleGen", **before}, {"features": target}, parameters)


_STEPS = ("ExampleGen", "Transform")


def _bare(data: Path, front_end: str) -> Metrics:
    """CPU seconds a clip of a front end alone, on what Transform gives it."""
    from components.transform.component import TransformParameters
    from edge_agent.features.audio import clip_codes
    from edge_agent.features.waveform import conform
    from edge_agent.sources.wav import read_wav

    parameters = TransformParameters(front_end=front_end)
    features = parameters.audio_features(_RATE)
    margin = parameters.margin_frames * features.stride_samples
    paths = sorted(data.rglob("*.wav"))[:_BARE]
    pcm = [np.pad(conform(*read_wav(path), _RATE), margin) for path in paths]
    clip_codes(pcm[0], features)
    before = _cpu_s()
    for one in pcm:
        clip_codes(one, features)
    return {"bare": (_cpu_s() - before) / len(pcm)}


def _apart(work: Callable[..., Metrics], *arguments: Any) -> dict[str, float]:
    """What `work` gives, run in a process of its own, with its times (s) and memory (MB)."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(send, work, arguments))
    process.start()
    send.close()
    given: dict[str, float] = receive.recv()
    process.join()
    return given


def _report(send: Any, work: Callable[..., Metrics], arguments: Any) -> None:
    started = time.monotonic()
    given = work(*arguments)
    own, workers = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    send.send(
        {
            "bare": given.get("bare", 0.0),
            "cpu": _cpu_s(),
            "wall": time.monotonic() - started,
            "memory": own.ru_maxrss / 1024,
            "workers": workers.ru_maxrss / 1024,
            "shards": given.get("shards", 0.0),
            "made": given.get("shards_made", 0.0),
        }
    )


def _cpu_s() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    main()
