"""The names under which TFLM's MicroMutableOpResolver takes operators.

Source: tensorflow/lite/micro/micro_mutable_op_resolver.h. They are TFLite's names in camel case, but
for the few below.
"""

from __future__ import annotations

_IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


def add_call(operator: str) -> str:
    """The member function that registers a builtin operator, e.g. ``AddConv2D`` for CONV_2D."""
    regular = "".join(
        part if part[:1].isdigit() else part.capitalize() for part in operator.split("_")
    )
    return f"Add{_IRREGULAR.get(operator, regular)}"
