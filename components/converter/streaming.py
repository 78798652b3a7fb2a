"""The streaming form of a whole-window model: each step computes only what is new.

The operators, their weights and their quantisation stay as they are. Before each operator that looks back in
time, the rows that it will need again are joined to the new ones; they come in as a state tensor and leave as
another, int8 on the same grid, so the caller carries them from step to step (external state). Nothing is
calibrated or rounded anew: on the same kernels the streaming form gives, bit for bit, what the whole-window
model gives for the window that ends with the newest frame, once it has seen as many frames as that holds.

That a convolutional network streams layer by layer is shown by Rybakov et al. (2020), "Streaming keyword
spotting on mobile devices".

For each tensor that has a time axis it is known how many new rows a step gives (`rows`), how many frames lie
between two rows (`stride`), how late row 0 of a window comes (`lag`, frames), and how many frames a row
depends on (`reach`). Branches that meet must be equally late.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from components.base import UserError
from components.converter.unpacked import Unpacked
from components.targets.schema import schema

_TIME = 1
_POINTWISE = frozenset(
    {
        "ADD",
        "MUL",
        "SUB",
        "MAXIMUM",
        "MINIMUM",
        "RELU",
        "RELU6",
        "HARD_SWISH",
        "LOGISTIC",
        "QUANTIZE",
    }
)
_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_POOLS = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamingForm:
    """A streaming model, and how it is fed.

    Attributes:
        model: the .tflite file.
        state: (input name, output name) of each state tensor; all begin at their zero point.
        frames: new frames that one step takes.
        window: frames that an output depends on; the newest is the last of them. Where strides do not
            fill it, the whole-window model takes more, and looks at the first so many of them.
    """

    model: bytes
    state: tuple[tuple[str, str], ...]
    frames: int
    window: int


def streaming_form(model: bytes, frames: int) -> StreamingForm:
    """Turns `model` into its streaming form with steps of `frames` frames; deterministic.

    Args:
        model: a full-integer .tflite file with one input of shape (1, frames, channels, depth) and
            one output, made by the converter.
        frames: new frames of one step: a multiple of the product of its strides in time.

    Raises:
        UserError: naming the operator that has no streaming form.
    """
    unpacked = Unpacked(model)
    if len(unpacked.model.subgraphs) != 1 or len(unpacked.graph.inputs) != 1:
        raise UserError("the model has several graphs or inputs: it has no streaming form")
    surgery = _Surgery(unpacked, frames)
    window = surgery.operate()
    return StreamingForm(
        model=unpacked.packed(), state=tuple(surgery.state), frames=frames, window=window
    )


@dataclasses.dataclass(frozen=True)
class _Flow:
    rows: int
    stride: int
    lag: int
    reach: int


class _Surgery:
    """Rewrites one unpacked model in place."""

    def __init__(self, unpacked: Unpacked, frames: int) -> None:
        self.state: list[tuple[str, str]] = []
        self._unpacked = unpacked
        self._graph = unpacked.graph
        self._flows: dict[int, _Flow] = {}
        self._joined: dict[tuple[int, int], int] = {}
        self._operators: list[Any] = []
        self._window = 0
        self._whole = {i: unpacked.shape(i) for i in range(len(self._graph.tensors))}
        (entry,) = (int(i) for i in self._graph.inputs)
        if len(self._whole[entry]) != 4:
            raise UserError("the model's input is no window of frames: it has no streaming form")
        self._set_rows(entry, _Flow(rows=frames, stride=1, lag=0, reach=1))

    def operate(self) -> int:
        """Rewrites the operators in their order; gives the frames that an output depends on."""
        for operator in self._graph.operators:
            flowing = [int(i) for i in operator.inputs if int(i) in self._flows]
            if flowing:
                operator.inputs = np.array(
                    operator.inputs, np.int32
                )  # what is unpacked is read-only
                self._rewrite(operator, flowing)
            self._operators.append(operator)
        self._graph.operators = self._operators
        late = [i for i in self._graph.outputs[:1] if int(i) in self._flows]
        if late or not self._window:
            raise UserError(
                "the model's output still has a time axis, or never had one: it has no streaming form"
            )
        return self._window

    def _rewrite(self, operator: Any, flowing: list[int]) -> None:
        name = self._unpacked.name(operator)
        source, result = flowing[0], int(operator.outputs[0])
        flow = self._flows[source]
        if name in _POINTWISE:
            others = [self._flows[i] for i in flowing]
            if any((o.rows, o.stride, o.lag) != (flow.rows, flow.stride, flow.lag) for o in others):
                raise UserError(f"{name}: its branches are not equally late: no streaming form")
            reach = max(o.reach for o in others)
            self._set_rows(result, dataclasses.replace(flow, reach=reach))
        elif name in _CONVOLUTIONS | _POOLS:
            self._look_back(operator, name, source, result)
        elif name == "STRIDED_SLICE":
            self._crop(operator, source, result)
        else:
            raise UserError(f"{name}: has no streaming form: use an architecture without it")

    def _look_back(self, operator: Any, name: str, source: int, result: int) -> None:
        flow = self._flows[source]
        extent, stride = self._window_of(operator, name)
        whole = self._whole[source][_TIME]
        closes = self._whole[result][_TIME] == 1 and extent == whole
        if operator.builtinOptions.padding != schema().Padding.VALID and not closes and extent > 1:
            raise UserError(f"{name}: is padded in time: it has no streaming form")
        if closes:
            # What is after it has no time axis: one output a step, of the newest rows.
            if flow.rows > whole:
                raise UserError(
                    f"{flow.rows} new rows, and {name} looks at {whole}: use shorter steps"
                )
            operator.inputs[0] = self._remember(source, whole - flow.rows)
            reach = flow.reach + (whole - 1) * flow.stride
            if flow.lag + flow.stride != flow.reach:
                raise UserError(f"{name}: does not end with the newest frame: no streaming form")
            self._window = max(self._window, reach)
            return
        if flow.rows % stride:
            raise UserError(
                f"{name}: takes every {stride}. of {flow.rows} new rows: the step's frames must be a "
                "multiple of all strides in time"
            )
        if extent < stride:
            raise UserError(f"{name}: leaves rows out: it has no streaming form")
        kept = extent - stride
        operator.inputs[0] = self._remember(source, kept)
        self._set_rows(
            result,
            _Flow(
                rows=flow.rows // stride,
                stride=flow.stride * stride,
                lag=flow.lag + kept * flow.stride,
                reach=flow.reach + (extent - 1) * flow.stride,
            ),
        )

    def _crop(self, operator: Any, source: int, result: int) -> None:
        """A crop in time becomes a delay by the rows that are cut off at the end."""
        begin, end = self._bounds(operator, self._whole[source])
        flow = self._flows[source]
        before, behind = begin[_TIME], self._whole[source][_TIME] - end[_TIME]
        begin[_TIME], end[_TIME] = 0, flow.rows
        crop = self._unpacked.slice(self._remember(source, behind), result, begin, end)
        operator.inputs, operator.builtinOptions = crop.inputs, crop.builtinOptions
        lag = flow.lag + (before + behind) * flow.stride
        self._set_rows(result, dataclasses.replace(flow, lag=lag))

    def _remember(self, source: int, kept: int) -> int:
        """The new rows of `source` behind the last `kept` of the steps before; a tensor's index."""
        if kept == 0:
            return source
        if (source, kept) not in self._joined:
            self._joined[source, kept] = self._add_state(source, kept)
        return self._joined[source, kept]

    def _add_state(self, source: int, kept: int) -> int:
        if self._graph.tensors[source].type != schema().TensorType.INT8:
            raise UserError(
                "what a step would hand to the next is finer than int8, and devices carry int8 alone: no "
                "streaming form with Converter.activations=int16"
            )
        rows = self._flows[source].rows
        number = len(self.state)
        names = (f"state_{number}", f"next_state_{number}")
        unpacked, inner = self._unpacked, self._whole[source][2:]
        before = unpacked.like(source, [1, kept, *inner], names[0])
        joined = unpacked.like(source, [1, kept + rows, *inner])
        after = unpacked.like(source, [1, kept, *inner], names[1])
        self._operators.append(unpacked.join([before, source], joined, _TIME))
        end = [1, kept + rows, *inner]
        self._operators.append(unpacked.slice(joined, after, [0, rows, 0, 0], end))
        self._graph.inputs = np.append(self._graph.inputs, before).astype(np.int32)
        self._graph.outputs = np.append(self._graph.outputs, after).astype(np.int32)
        self.state.append(names)
        return joined

    def _set_rows(self, index: int, flow: _Flow) -> None:
        self._flows[index] = flow
        shape = self._whole[index]
        self._unpacked.set_shape(index, [shape[0], flow.rows, *shape[2:]])

    def _window_of(self, operator: Any, name: str) -> tuple[int, int]:
        """Rows that one output row looks at, and rows from one to the next."""
        options = operator.builtinOptions
        if name in _POOLS:
            return options.filterHeight, options.strideH
        kernel = self._unpacked.shape(int(operator.inputs[1]))[_TIME]
        return (kernel - 1) * options.dilationHFactor + 1, options.strideH

    def _bounds(self, operator: Any, shape: list[int]) -> tuple[list[int], list[int]]:
        options = operator.builtinOptions
        begin, end, steps = (self._unpacked.values(int(i)) for i in operator.inputs[1:4])
        if any(steps[i] != 1 for i in range(4)) or options.shrinkAxisMask or options.newAxisMask:
            raise UserError("STRIDED_SLICE: takes more than a crop: it has no streaming form")
        for axis, size in enumerate(shape):
            begin[axis] = 0 if options.beginMask >> axis & 1 else begin[axis] % max(size, 1)
            whole = options.endMask >> axis & 1
            end[axis] = size if whole else end[axis] + (size if end[axis] <= 0 else 0)
        return begin, end
