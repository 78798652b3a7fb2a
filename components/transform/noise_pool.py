"""The noise that Transform mixes in: of each split its own, the same for all of its shards."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.members import digest_of
from components.records import NOISE, read_examples, shard_paths
from components.transform.noise import Wave
from edge_agent.bundle.manifest import SILENCE

_TRAINING_SHARE = 0.75
_FULL_SCALE = 32768.0
# Every worker holds the pool. The first of the shards will do: which they are is a matter of hashes.
_MOST_SILENCES = 128


def write_recorded(source: Path, path: Path) -> None:
    """Writes all noise recordings of the Examples artifact `source` end to end, as int16."""
    np.save(path, np.concatenate([np.zeros(0, np.int16), *_pieces(source)]), allow_pickle=False)


def write_pool(source: Path, split: str, path: Path) -> str:
    """Writes what `split` of the Examples artifact `source` mixes in; gives the file's digest.

    That is up to 128 of its own silence clips, and its share of each noise recording.
    """
    silences = itertools.islice(_silences(source, split), _MOST_SILENCES)
    cut = [(piece, int(len(piece) * _TRAINING_SHARE)) for piece in _pieces(source)]
    recorded = [piece[:at] if split == "train" else piece[at:] for piece, at in cut]
    np.savez(path, **_named([*silences, *recorded]))
    return digest_of(path)


@functools.lru_cache(maxsize=3)
def read_pool(path: Path, digest: str) -> list[Wave]:
    """What `write_pool` wrote to `path`; `digest` tells one pool from the next in a worker's life."""
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in arrays.files]


def _pieces(source: Path) -> list[npt.NDArray[np.int16]]:
    return [e.pcm for path in shard_paths(source, NOISE) for e in read_examples(path)]


def _silences(source: Path, split: str) -> Iterator[npt.NDArray[np.int16]]:
    for path in shard_paths(source, split):
        for example in read_examples(path):
            if example.label == SILENCE:
                yield example.pcm


def _named(pieces: list[npt.NDArray[np.int16]]) -> dict[str, Wave]:
    waves = [piece.astype(np.float32) / np.float32(_FULL_SCALE) for piece in pieces]
    return {f"arr_{number}": wave for number, wave in enumerate(waves)}
