"""The executor of Converter."""

from __future__ import annotations

import dataclasses

import numpy as np
import zstandard

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.converter.component import ConverterParameters
from components.converter.convert import Codes, converted, load_model
from components.converter.low_bits import with_int4_weights
from components.converter.strip import strip
from components.targets.flatbuffer import parse_graph
from components.targets.graph import Graph
from edge_agent.features.audio import INPUT_SCALE, INPUT_ZERO_POINT

# Long-distance effort costs nothing at these sizes; fleets compress the same way.
_ZSTD_LEVEL = 19


def execute(inputs: Inputs, outputs: Outputs, parameters: ConverterParameters) -> Metrics:
    """Writes ``model.tflite`` and ``conversion.json``; gives bytes, download_bytes and macs."""
    features = inputs["features"]
    margin = int(read_json(features / "features.json")["margin_frames"])
    codes = np.load(features / "train.codes.npy", mmap_mode="r", allow_pickle=False)
    path = inputs["model"] / "model.h5"
    calibration = _calibration(codes, margin, parameters)
    model = converted(load_model(path), calibration, parameters.activations)
    if read_json(inputs["model"] / "model.json").get("weights") == "int4":
        model = with_int4_weights(model)
    model = strip(model)
    graph = parse_graph(model)
    _demand_plain_codes(graph)
    download_bytes = len(zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(model))
    conversion = {
        "bytes": len(model),
        "download_bytes": download_bytes,
        "operators": [dataclasses.asdict(count) for count in graph.counts],
        "macs": graph.macs,
        "float_tensors": list(graph.float_tensors),
    }
    (outputs["model"] / "model.tflite").write_bytes(model)
    write_json(outputs["model"] / "conversion.json", conversion)
    return {
        "bytes": float(len(model)),
        "download_bytes": float(download_bytes),
        "macs": float(graph.macs),
    }


def _calibration(codes: Codes, margin: int, parameters: ConverterParameters) -> Codes:
    """Distinct training windows, without their margins: (rows, frames, channels)."""
    if not len(codes):
        raise UserError("the features hold no training clips: add recordings and run again")
    rows = np.random.default_rng(parameters.seed).permutation(len(codes))
    chosen = np.sort(rows[: parameters.calibration_rows])
    return np.asarray(codes[chosen, margin : codes.shape[1] - margin], np.int8)


def _demand_plain_codes(graph: Graph) -> None:
    """The device hands over feature codes as they are; the model must read them on that grid."""
    for index in graph.inputs:
        grid = graph.tensors[index].quantisation
        if grid is None or (grid.scales, grid.zero_points) != ((INPUT_SCALE,), (INPUT_ZERO_POINT,)):
            raise UserError(
                f"the converted model reads its input as {grid}, not with scale {INPUT_SCALE} and "
                f"zero point {INPUT_ZERO_POINT}: train it on features / 32 without another scaling"
            )
