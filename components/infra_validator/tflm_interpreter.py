"""TFLM's interpreter behind the interface of TFLite's: what feeds the one feeds the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.infra_validator.load_probe import TFLM_ARENA_BYTES
from components.targets.flatbuffer import parse_graph

_OUTPUTS = 1_000_000


class TflmInterpreter:
    """The parts of ``tflite_runtime.interpreter.Interpreter`` that models are run with."""

    def __init__(self, model: bytes) -> None:
        from tflite_micro import runtime

        self._own = runtime.Interpreter.from_bytes(model, arena_size=TFLM_ARENA_BYTES)
        graph = parse_graph(model)
        self._inputs = [
            _named(self._own.get_input_details(place), graph.tensors[tensor].name, place)
            for place, tensor in enumerate(graph.inputs)
        ]
        self._outputs = [
            _named(
                self._own.get_output_details(place), graph.tensors[tensor].name, place + _OUTPUTS
            )
            for place, tensor in enumerate(graph.outputs)
        ]

    def allocate_tensors(self) -> None:
        """They are, from the beginning."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """As TFLite's: name, index, shape, dtype, quantization."""
        return self._inputs

    def get_output_details(self) -> list[dict[str, Any]]:
        """As TFLite's."""
        return self._outputs

    def set_tensor(self, index: int, value: npt.NDArray[Any]) -> None:
        """Gives an input its content."""
        self._own.set_input(value, index)

    def get_tensor(self, index: int) -> npt.NDArray[Any]:
        """The content of an output."""
        content: npt.NDArray[Any] = self._own.get_output(index - _OUTPUTS).copy()
        return content

    def invoke(self) -> None:
        """Runs the model once."""
        self._own.invoke()

    def print_allocations(self) -> None:
        """Prints what the arena holds on standard error, from C."""
        self._own.print_allocations()


def _named(details: dict[str, Any], name: str, index: int) -> dict[str, Any]:
    grid = details["quantization_parameters"]
    scales, zero_points = grid["scales"], grid["zero_points"]
    one = (float(scales[0]), int(zero_points[0])) if len(scales) else (0.0, 0)
    return {
        "name": name,
        "index": index,
        "shape": details["shape"],
        "dtype": np.dtype(details["dtype"]).type,
        "quantization": one,
    }
