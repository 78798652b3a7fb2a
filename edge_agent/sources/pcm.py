"""Samples without a header: 16-bit little-endian mono PCM at 16 kHz, as from `arecord -t raw`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edge_agent.sources.readable import Readable
from edge_agent.sources.wav import Float32

RAW_RATE = 16_000


def raw_blocks(stream: Readable, frames: int, *, head: bytes = b"") -> Iterator[Float32]:
    """The samples of `stream` in order, in arrays of shape (at most `frames`, 1), -1 to 1.

    Args:
        stream: read until its end; an odd last byte is dropped.
        frames: most samples in a block.
        head: bytes that were taken off the front of the stream already.
    """
    pending = head
    while piece := stream.read(max(1, frames * 2 - len(pending))):
        pending += piece
        whole = len(pending) // 2 * 2
        if whole:
            yield _samples(pending[:whole])
            pending = pending[whole:]
    if len(pending) >= 2:
        yield _samples(pending[: len(pending) // 2 * 2])


def _samples(data: bytes) -> Float32:
    values = np.frombuffer(data, "<i2").astype(np.float32)
    return (values / np.float32(32768)).reshape(-1, 1)
