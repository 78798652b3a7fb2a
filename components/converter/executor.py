"""The executor of Converter."""

from __future__ import annotations

import numpy as np

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.converter.component import ConverterParameters
from components.converter.convert import Codes, converted, load_model
from components.converter.description import describe
from components.converter.low_bits import with_int4_weights
from components.converter.strip import strip
from components.targets.flatbuffer import parse_graph
from components.targets.graph import Graph
from edge_agent.features.audio import INPUT_SCALE, INPUT_ZERO_POINT


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
    _demand_plain_codes(parse_graph(model))
    conversion = describe(model)
    (outputs["model"] / "model.tflite").write_bytes(model)
    write_json(outputs["model"] / "conversion.json", conversion)
    return {key: float(conversion[key]) for key in ("bytes", "download_bytes", "macs")}


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
