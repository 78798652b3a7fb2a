"""How long after the end of a word its detection is known, on recordings that stand in a quiet stream.

A word ends where its energy last comes within 20 dB of its loudest 20 ms. Sound is given to the spotter as a
live source gives it, a hop at a time; a detection is known when the block is in that completes it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_agent.bundle import archive
from edge_agent.features.waveform import conform
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.spotting import Spotter
from edge_agent.sources.wav import read_wav

_FRAME_S = 0.02
_DROP_DB = 20.0
_PAUSE_S = 1.5
_LATEST_S = 1.5

Pcm = npt.NDArray[np.int16]


def main(bundle_path: Path, recordings: Path, list_file: Path) -> None:
    """Prints ``{"words", "found", "median_s", "p90_s"}``: seconds, 9 of 10 of them at most ``p90_s``."""
    bundle = archive.read(bundle_path)
    classifier = KeywordClassifier(bundle.manifest, bundle.files)
    rate = classifier.features.sample_rate
    block = classifier.policy.hop_frames * classifier.features.stride_samples
    words = set(classifier.policy.thresholds)
    entries = [line for line in list_file.read_text().split() if line.split("/")[0] in words]
    spotter, heard, ends = Spotter(classifier), 0, []
    known: list[tuple[float, str]] = []
    noise = np.random.default_rng(1)

    def hear(pcm: Pcm) -> None:
        nonlocal heard
        for start in range(0, len(pcm), block):
            piece = pcm[start : start + block]
            heard += len(piece)
            known.extend((heard / rate, found.label) for found in spotter.process(piece))

    for entry in entries:
        samples, own_rate = read_wav(recordings / entry)
        pcm = conform(samples, own_rate, rate)
        ends.append((heard / rate + _end_s(pcm, rate), entry.split("/")[0]))
        pause = np.rint(noise.normal(0.0, 10.0, round(_PAUSE_S * rate))).astype(np.int16)
        hear(np.concatenate([pcm, pause]))
    late = [
        at - end
        for end, word in ends
        for at, said in known
        if said == word and -1.0 < at - end < _LATEST_S
    ]
    told = {
        "words": len(ends),
        "found": len(late),
        "median_s": float(np.median(late)),
        "p90_s": float(np.quantile(late, 0.9)),
    }
    print(json.dumps(told))


def _end_s(pcm: Pcm, rate: int) -> float:
    size = round(_FRAME_S * rate)
    frames = pcm[: len(pcm) // size * size].reshape(-1, size).astype(np.float64)
    energy = np.square(frames).mean(1)
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-_DROP_DB / 10))
    return float((loud[-1] + 1) * _FRAME_S)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
