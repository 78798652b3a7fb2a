"""What is said of an int8 model beside its file: ``conversion.json``."""

from __future__ import annotations

import dataclasses
from typing import Any

import zstandard

from components.targets.flatbuffer import parse_graph

# Long-distance effort costs nothing at these sizes; fleets compress the same way.
_ZSTD_LEVEL = 19


def describe(model: bytes) -> dict[str, Any]:
    """The content of ``conversion.json`` (keys in `components.artifacts`)."""
    graph = parse_graph(model)
    return {
        "bytes": len(model),
        "download_bytes": len(zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(model)),
        "operators": [dataclasses.asdict(count) for count in graph.counts],
        "macs": graph.macs,
        "float_tensors": list(graph.float_tensors),
    }
