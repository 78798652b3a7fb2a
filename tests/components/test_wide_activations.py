"""16x8: int16 activations between int8 ends, the same on every runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from components.base import UserError
from components.infra_validator.measure import Measured, measure
from components.targets.flatbuffer import read_graph
from tests.fixtures.apart import with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS

pytestmark = pytest.mark.slow


def windows() -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (16, FRAMES, CHANNELS)).astype(np.int8)


@pytest.mark.parametrize("architecture", ["streaming_resnet", "tc_resnet"])
def test_the_ends_are_int8_and_what_is_between_is_int16_on_every_runtime(architecture, tmp_path):
    convert(architecture, tmp_path)
    file = tmp_path / "model.tflite"
    graph = read_graph(file)
    entry, exit_ = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (entry.dtype, exit_.dtype) == ("int8", "int8")
    assert entry.quantisation is not None
    assert (entry.quantisation.scales, entry.quantisation.zero_points) == ((1 / 32,), (0,))
    assert graph.float_tensors == ()
    convolutions = [op for op in graph.operators if op.name == "CONV_2D"]
    for operator in convolutions:
        kinds = [graph.tensors[i].dtype for i in (*operator.inputs, *operator.outputs)]
        assert kinds == ["int16", "int8", "int64", "int16"]
    # What the converter's own model gives for the same inputs, in steps of the int8 output.
    expected = np.load(tmp_path / "expected.npy")
    assert len(np.unique(expected.round())) > 10
    for runtime in ("reference", "tflite_runtime", "litert", "tflm"):
        ran = measure(runtime, file, windows(), 1)
        assert isinstance(ran, Measured), runtime
        assert np.abs(ran.outputs - expected).max() <= 1.5, runtime


@with_tensorflow
def convert(architecture: str, folder: Path) -> None:
    """Writes ``model.tflite``, and the outputs of the converter's model of int16 ends beside it."""
    import tensorflow as tf
    import tf_keras as keras

    from components.converter import convert
    from components.models import registry

    keras.utils.set_random_seed(1)
    model = registry.build(architecture, FRAMES, CHANNELS, len(LABELS), (8,))
    last = [layer for layer in model.layers if hasattr(layer, "kernel")][-1]
    last.kernel.assign(2.0 * last.kernel)
    real, kept = convert.with_int8_ends, []

    def watched(made: bytes) -> bytes:
        kept.append(made)
        return real(made)

    with mock.patch.object(convert, "with_int8_ends", watched):
        made = convert.converted(model, windows(), "int16")
    (folder / "model.tflite").write_bytes(made)
    np.save(folder / "expected.npy", run(tf.lite.Interpreter(model_content=kept[0])))


def run(interpreter: Any) -> np.ndarray:
    """The outputs of a model of int16 ends for `windows`, in the steps of int8 probabilities."""
    interpreter.allocate_tensors()
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, _ = entry["quantization"]
    out_scale, _ = exit_["quantization"]
    outputs = []
    for window in windows():
        steps = np.clip(np.rint(window / 32.0 / scale), -32768, 32767).astype(np.int16)
        interpreter.set_tensor(entry["index"], steps.reshape(entry["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(exit_["index"])[0] * (out_scale * 256.0) - 128.0)
    return np.stack(outputs)


@with_tensorflow
def test_a_model_that_was_trained_with_int8_rounding_is_refused():
    import tensorflow_model_optimization as tfmot

    from components.converter.convert import converted
    from components.models import registry

    model = registry.build("tc_resnet", FRAMES, CHANNELS, len(LABELS), (4,))
    aware = tfmot.quantization.keras.quantize_model(model)
    with pytest.raises(UserError, match=r"set Quantizer\.method=post_training"):
        converted(aware, windows(), "int16")
