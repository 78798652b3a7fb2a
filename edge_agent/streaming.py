"""Streaming models: each step takes only the new frames, and what it must remember goes in and out as state.

The state is external (int8 tensors in and out on the same grid), so it lives here and not in the interpreter:
it can be begun anew at any moment, and no runtime needs variables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_agent.runtime import (
    Int8,
    Model,
    RuntimeModelError,
    TensorDetails,
    tensor_details,
)

_AGAIN = "build the bundle again"


class StreamingModel(Model):
    """A loaded streaming model. As a `Model`, it is one of whole windows: `invoke` begins anew.

    Attributes:
        input: what `invoke` takes: a whole window.
        inferences: the steps of a whole window.
        step_frames: new frames that `step` takes.
    """

    def __init__(
        self,
        interpreter: Any,
        runtime: str,
        version: str,
        state: Sequence[tuple[str, ...]],
        window: int,
    ) -> None:
        """Takes an interpreter that is ready.

        Args:
            interpreter: with the frames as its first input and the scores as its first output.
            runtime: its name.
            version: its version.
            state: (input name, output name) of each state tensor.
            window: frames that an output depends on.

        Raises:
            RuntimeModelError: if the model has other tensors than these.
        """
        self.runtime = runtime
        self.version = version
        self._interpreter = interpreter
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        frames = tensor_details(inputs[0])
        if len(frames.shape) < 3 or window < frames.shape[1]:
            raise RuntimeModelError(
                f"a step takes {frames.shape}, and a window {window} frames: {_AGAIN}"
            )
        self.step_frames = frames.shape[1]
        self.inferences = math.ceil(window / self.step_frames)
        shape = (1, window, *frames.shape[2:])
        self.input = TensorDetails(shape=shape, scale=frames.scale, zero_point=frames.zero_point)
        self.output = tensor_details(outputs[0])
        self._pairs = _pairs(inputs[1:], outputs[1:], state)
        self._state: list[Int8] = []
        self.reset()

    def reset(self) -> None:
        """Forgets all frames."""
        self._state = [
            np.full(details.shape, details.zero_point, np.int8) for _, _, details in self._pairs
        ]

    def step(self, codes: Int8) -> Int8:
        """Takes the next `step_frames` frames; gives the scores of the window that ends with them.

        Raises:
            RuntimeModelError: if the codes do not fit, or the interpreter fails.
        """
        shape = (1, self.step_frames, *self.input.shape[2:])
        if codes.dtype != np.int8 or codes.size != math.prod(shape):
            raise RuntimeModelError(f"a step takes int8 {shape}, not {codes.dtype} {codes.shape}")
        try:
            self._interpreter.set_tensor(self._input_index, codes.reshape(shape))
            for (entry, _, _), kept in zip(self._pairs, self._state, strict=True):
                self._interpreter.set_tensor(entry, kept)
            self._interpreter.invoke()
            self._state = [self._interpreter.get_tensor(exit_) for _, exit_, _ in self._pairs]
            output: Int8 = self._interpreter.get_tensor(self._output_index)
        except (ValueError, RuntimeError) as e:
            raise RuntimeModelError(f"{self.runtime} failed to run the model: {e}") from e
        row: Int8 = output[0]
        return row

    def invoke(self, codes: Int8) -> Int8:
        """Begins anew and takes one whole window; the state is that of its end.

        Raises:
            RuntimeModelError: if the codes do not fit, or the interpreter fails.
        """
        shape = self.input.shape[1:]
        if codes.dtype != np.int8 or codes.size != math.prod(shape):
            raise RuntimeModelError(
                f"the model takes int8 of shape {self.input.shape}, not {codes.dtype} {codes.shape}"
            )
        self.reset()
        frames = codes.reshape(shape)
        # Frames before the window fill the first step; no output of a whole window sees them.
        missing = -len(frames) % self.step_frames
        frames = np.concatenate([np.zeros((missing, *shape[1:]), np.int8), frames])
        output = np.zeros(0, np.int8)
        for begin in range(0, len(frames), self.step_frames):
            output = self.step(frames[begin : begin + self.step_frames])
        return output


def _pairs(
    inputs: list[Any], outputs: list[Any], state: Sequence[tuple[str, ...]]
) -> list[tuple[int, int, TensorDetails]]:
    """Indices of each state tensor coming in and going out, which must be on one grid."""
    entries = {tensor["name"]: tensor for tensor in inputs}
    exits = {tensor["name"]: tensor for tensor in outputs}
    named, told = {name for name, _ in state}, {name for _, name in state}
    if (
        named != set(entries)
        or told != set(exits)
        or len(entries) != len(inputs)
        or len(state) != len(inputs)
    ):
        raise RuntimeModelError(
            f"its state tensors are {', '.join(sorted(entries)) or 'none'}, and the manifest names "
            f"{', '.join(sorted(named)) or 'none'}: {_AGAIN}"
        )
    pairs = []
    for before, after in state:
        comes, goes = tensor_details(entries[before]), tensor_details(exits[after])
        if comes != goes:
            raise RuntimeModelError(
                f"{before} comes in as {comes} and goes out as {goes}: {_AGAIN}"
            )
        pairs.append((entries[before]["index"], exits[after]["index"], comes))
    return pairs
