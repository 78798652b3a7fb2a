"""How often a bundle hears one of its words where none is said, on recordings that nothing was chosen on.

The recordings of a list that hold none of its words stand end to end without a pause, as the stream does
that a policy is chosen on: each several times, shifted, louder and softer, some of them with noise. They go
through the device's own path, from samples to detections.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_agent.bundle import archive
from edge_agent.features.waveform import conform, fit
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.spotting import Spotter
from edge_agent.sources.wav import read_wav

_VIEWS = 12
_SHIFT_S = 0.1
# Power of a clip over that of the noise; None for none.
_RATIOS_DB = (None, 20.0, 10.0)

Samples = npt.NDArray[np.float64]


def main(bundle_path: Path, recordings: Path, list_file: Path, noises: Path) -> None:
    """Prints ``{"hours", "accepted", "per_hour"}``."""
    bundle = archive.read(bundle_path)
    classifier = KeywordClassifier(bundle.manifest, bundle.files)
    rate = classifier.features.sample_rate
    words = set(classifier.policy.thresholds)
    entries = [line for line in list_file.read_text().split() if line.split("/")[0] not in words]
    clips = [fit(_pcm(recordings / entry, rate), rate).astype(np.float64) for entry in entries]
    noise = np.concatenate([_pcm(path, rate) for path in sorted(noises.glob("*.wav"))])
    random = np.random.default_rng(1)
    spotter, accepted, samples = Spotter(classifier), 0, 0
    for _ in range(_VIEWS):
        for place in random.permutation(len(clips)):
            piece = _view(clips[place], noise.astype(np.float64), rate, random)
            samples += len(piece)
            accepted += len(spotter.process(piece))
    hours = samples / rate / 3600
    print(json.dumps({"hours": hours, "accepted": accepted, "per_hour": accepted / hours}))


def _pcm(path: Path, rate: int) -> npt.NDArray[np.int16]:
    samples, own_rate = read_wav(path)
    return conform(samples, own_rate, rate)


def _view(
    clip: Samples, noise: Samples, rate: int, random: np.random.Generator
) -> npt.NDArray[np.int16]:
    shifted = np.roll(clip, random.integers(-int(_SHIFT_S * rate), int(_SHIFT_S * rate) + 1))
    ratio = _RATIOS_DB[random.integers(len(_RATIOS_DB))]
    if ratio is not None:
        start = random.integers(len(noise) - len(clip))
        beside = noise[start : start + len(clip)]
        power = np.square(shifted).mean() / max(np.square(beside).mean(), 1.0)
        shifted = shifted + beside * np.sqrt(power / 10 ** (ratio / 10))
    loud = shifted * 10 ** (random.uniform(-6.0, 3.0) / 20)
    return np.clip(np.rint(loud), -32768, 32767).astype(np.int16)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
