"""CPU time of Transform against the bare front end on the same audio, Beam's start-up apart.

With augmented views, as a run has them, and without: each against the front end over as many seconds
of audio as Transform put through it. The front end is timed before and after each round of Transform, and
the round of the median ratio counts: what else the machine does adds to the CPU time of both.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import dataclasses
import resource
import tempfile
from pathlib import Path

import numpy as np

from components.example_gen.component import ExampleGenParameters
from components.example_gen.executor import execute as generate
from components.records import SPLITS, read_examples, shard_paths
from components.transform.component import TransformParameters
from components.transform.executor import execute as transform
from edge_agent.features.audio import clip_codes
from tests.bench.table import Figure, data_folder, publish

_RECORDED_ONLY = TransformParameters(
    beam_options=("--runner=DirectRunner",),
    train_views=0,
    eval_views=0,
    made_unknown=0.0,
    made_silence=0.0,
)
_VARIANTS = {
    "log_mel as run": (1, TransformParameters(beam_options=("--runner=DirectRunner",))),
    "log_mel recorded only": (5, _RECORDED_ONLY),
    "micro recorded only": (3, dataclasses.replace(_RECORDED_ONLY, front_end="micro")),
    "micro five views": (
        1,
        dataclasses.replace(_RECORDED_ONLY, front_end="micro", train_views=5, eval_views=5),
    ),
}
_START_UPS = 3
_BARE_SECONDS = 3.0


def main() -> None:
    """Measures both and publishes the ratio."""
    data = data_folder("speech_commands_v2_subset")
    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder) / "examples"
        examples.mkdir()
        generate({"recordings": data}, {"examples": examples}, ExampleGenParameters())
        start_up = min(_start_up() for _ in range(_START_UPS))
        figures = []
        for name, (rounds, parameters) in _VARIANTS.items():
            costs = [_round(examples, parameters, start_up) for _ in range(rounds)]
            ours, bare = sorted(costs, key=lambda cost: cost[0] / cost[1])[rounds // 2]
            figures.append(
                Figure(
                    figure=f"Transform, {name}, a clip", ours=ours * 1e3, peer=bare * 1e3, unit="ms"
                )
            )
        figures.append(
            Figure(figure="Beam's start-up and an empty run", ours=start_up, peer=0.0, unit="s")
        )
    publish("transform", figures)


def _round(examples: Path, parameters: TransformParameters, start_up: float) -> tuple[float, float]:
    """CPU seconds a clip of Transform, less `start_up`, and of the front end alone."""
    before = _bare(examples, parameters)
    with tempfile.TemporaryDirectory() as features:
        began = _cpu_s()
        outputs = {"features": Path(features)}
        rows = transform({"examples": examples}, outputs, parameters)["rows"]
        ours = _cpu_s() - began - start_up
    return ours / rows, (before + _bare(examples, parameters)) / 2


def _start_up() -> float:
    """CPU seconds of a Beam pipeline over as many shards that do nothing."""
    from components.beam_shards import run_shards

    before = _cpu_s()
    with tempfile.TemporaryDirectory() as folder:
        run_shards(
            _nothing,
            list(range(24)),
            folder=Path(folder),
            reads=[],
            beam_options=_RECORDED_ONLY.beam_options,
            weights=[1.0] * 24,
            unit="shards",
        )
    return _cpu_s() - before


def _nothing(_: int) -> int:
    return 0


def _bare(examples: Path, parameters: TransformParameters) -> float:
    """CPU seconds a clip of the front end alone, over clips of the length that Transform puts in."""
    features = parameters.audio_features(16_000)
    margin = parameters.margin_frames * features.stride_samples
    clips = [
        np.pad(example.pcm, margin)
        for split in SPLITS
        for path in shard_paths(examples, split)
        for example in read_examples(path)
    ]
    before, count = _cpu_s(), 0
    while _cpu_s() - before < _BARE_SECONDS:
        for clip in clips:
            clip_codes(clip, features)
        count += len(clips)
    return (_cpu_s() - before) / count


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
