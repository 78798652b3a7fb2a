"""Where the constants of a .tflite model lie in its bytes, by the operator and slot that use them."""

from __future__ import annotations

import dataclasses

from edge_agent.flatbuffer import File, check_structure


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constant:
    """One constant tensor of a model.

    Attributes:
        place: (graph, operator, input slot) of its first use. Names would not do: shipped models may
            carry none.
        form: (type, *shape), by the schema's number of the type.
        start: its first byte in the file.
        bytes: its size.
    """

    place: tuple[int, int, int]
    form: tuple[int, ...]
    start: int
    bytes: int


def constants(model: bytes) -> list[Constant]:
    """The constants of `model` in order of use, each once.

    Raises:
        StructureError: if `model` is not a whole .tflite file.
    """
    check_structure(model)
    file = File(model)
    root = file.root()
    buffers = file.tables("Model", root, 4)
    found: dict[int, Constant] = {}
    for graph_index, graph in enumerate(file.tables("Model", root, 2)):
        tensors = file.tables("SubGraph", graph, 0)
        for operator_index, operator in enumerate(file.tables("SubGraph", graph, 3)):
            for slot, index in enumerate(file.ints("Operator", operator, 1)):
                if index == -1:
                    continue
                tensor = tensors[index]
                buffer = buffers[file.scalar("Tensor", tensor, 2)]
                size = file.buffer_size(buffer)
                start = file.target("Buffer", buffer, 0) + 4
                if size and start not in found:
                    shape = file.ints("Tensor", tensor, 0)
                    found[start] = Constant(
                        place=(graph_index, operator_index, slot),
                        form=(file.scalar("Tensor", tensor, 1), *shape),
                        start=start,
                        bytes=size,
                    )
    return list(found.values())
