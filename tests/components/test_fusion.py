"""Two senses: better than each alone, and alive with one of them missing, in int8 as in float.

A made machine: its vibration (a window of spectra) is quiet, noisy or has a tone, its flow is right or low.
Noise is cavitation where the flow is low and work where it is not; low flow is a blockage where it is quiet.
So neither sense knows all: the window alone can be right in 3 of 4 cases, the sensors alone in 2 of 4.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.fixtures.apart import with_tensorflow

FRAMES, CHANNELS, SENSORS, LABELS = 16, 12, 3, 4
NORMAL, BEARING, BLOCKAGE, CAVITATION = range(LABELS)
BY_WINDOW, BY_SENSORS = 0.75, 0.5
Float32 = npt.NDArray[np.float32]
Inputs = dict[str, Float32]
pytestmark = pytest.mark.slow


def machine(rows: int, seed: int) -> tuple[Inputs, npt.NDArray[np.int64]]:
    """Both inputs, and what was the matter, evenly."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(rows) % LABELS)
    window = random.normal(0.0, 0.3, (rows, FRAMES, CHANNELS, 1))
    noisy = (labels == CAVITATION) | ((labels == NORMAL) & (random.random(rows) < 0.5))
    window[noisy, :, 4:] += random.normal(1.0, 0.5, (noisy.sum(), FRAMES, CHANNELS - 4, 1))
    window[labels == BEARING, :, 8] += 1.5
    # Sensors are normalised, as before any detector: where one is missing stands about 0.
    flow = np.where((labels == BLOCKAGE) | (labels == CAVITATION), -1.0, 1.0)
    sensors = random.normal(0.0, 0.3, (rows, SENSORS)) + np.stack([flow, 0 * flow, -flow], 1)
    return {"window": window.astype(np.float32), "sensors": sensors.astype(np.float32)}, labels


def means(inputs: Inputs) -> Inputs:
    """What stands for an input that is missing: its mean in training."""
    return {name: values.mean(axis=0) for name, values in inputs.items()}


def without(inputs: Inputs, missing: str, absent: Inputs) -> Inputs:
    return inputs | {missing: np.broadcast_to(absent[missing], inputs[missing].shape)}


def trained(inputs: Inputs, labels: npt.NDArray[np.int64], absent: Inputs, share: float) -> Any:
    """A fusion network, trained with `share` of the examples losing an input."""
    import tensorflow as tf
    import tf_keras as keras

    from components.models.fusion import fusion
    from components.training.modality_dropout import drop_inputs

    keras.utils.set_random_seed(5)
    model = fusion(frames=FRAMES, channels=CHANNELS, sensors=SENSORS, labels=LABELS, widths=(8, 16))
    names = tuple(model.input_names)

    def step(number: Any, example: Any) -> Any:
        given, label = example
        seed = tf.stack([tf.constant(3, tf.int64), number])
        dropped = drop_inputs([given[n] for n in names], [absent[n] for n in names], share, seed)
        return dict(zip(names, dropped, strict=True)), label

    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).shuffle(len(labels), seed=1)
    steps = len(labels) // 32 * 12
    batches = data.repeat().batch(32, drop_remainder=True).take(steps).enumerate().map(step)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(batches, verbose=0)
    return model


def accuracy(model: Any, inputs: Inputs, labels: npt.NDArray[np.int64]) -> float:
    said = model(inputs, training=False).numpy().argmax(1)
    return float((said == labels).mean())


def surprise(model: Any, inputs: Inputs, labels: npt.NDArray[np.int64]) -> float:
    """Mean cross-entropy, nats: dear where the network is sure and wrong."""
    probability = model(inputs, training=False).numpy()[np.arange(len(labels)), labels]
    return float(-np.log(probability + 1e-7).mean())


@with_tensorflow
def test_dropped_inputs_are_one_an_example_evenly_and_the_same_for_a_seed() -> None:
    from components.training.modality_dropout import drop_inputs

    rows = 4000
    inputs = [np.ones((rows, 2, 3), np.float32), np.ones((rows, 4), np.float32)]
    absent = [np.full((2, 3), 5, np.float32), np.full(4, 7, np.float32)]

    def lost(share: float, seed: int) -> list[npt.NDArray[np.bool_]]:
        found = [f.numpy() for f in drop_inputs(inputs, absent, share, (seed, 0))]
        assert set(np.unique(found[0])) <= {1, 5}
        assert set(np.unique(found[1])) <= {1, 7}
        whole = [f.reshape(rows, -1) != 1 for f in found]
        assert all((w.all(1) == w.any(1)).all() for w in whole)
        return [w.all(1) for w in whole]

    first, second = lost(0.5, 1)
    assert not (first & second).any()
    assert first.mean() == pytest.approx(0.25, abs=0.03)
    assert second.mean() == pytest.approx(0.25, abs=0.03)
    assert np.array_equal(first, lost(0.5, 1)[0])
    assert not np.array_equal(first, lost(0.5, 2)[0])
    assert not np.any(lost(0.0, 1))
    assert np.all(np.logical_or(*lost(1.0, 1)))
    with pytest.raises(ValueError, match="2 inputs and 1 values"):
        drop_inputs(inputs, absent[:1], 0.5, (1, 0))
    with pytest.raises(ValueError, match="share"):
        drop_inputs(inputs, absent, 1.5, (1, 0))


def test_two_senses_beat_each_alone_and_one_is_enough_to_go_on(tmp_path: Path) -> None:
    two_senses(tmp_path)
    on_tflm(tmp_path)


@with_tensorflow
def two_senses(folder: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from components.base import UserError
    from components.converter.several_inputs import several_to_int8
    from components.targets.flatbuffer import read_graph
    from components.targets.lint import lint
    from components.targets.profile import load_profile

    train, train_labels = machine(1200, 1)
    test, labels = machine(400, 2)
    absent = means(train)
    deaf, numb = (without(test, name, absent) for name in ("sensors", "window"))

    fused = trained(train, train_labels, absent, 0.5)
    whole = accuracy(fused, test, labels)
    window_alone, sensors_alone = (
        accuracy(trained(without(train, gone, absent), train_labels, absent, 0.0), kept, labels)
        for gone, kept in (("sensors", deaf), ("window", numb))
    )
    assert whole > 0.93
    assert whole > max(window_alone, sensors_alone) + 0.1
    assert accuracy(fused, deaf, labels) > window_alone - 0.05 > BY_WINDOW - 0.15
    assert accuracy(fused, numb, labels) > sensors_alone - 0.05 > BY_SENSORS - 0.15

    # What never missed an input is sure of the wrong thing when one goes.
    spoilt = trained(train, train_labels, absent, 0.0)
    surprised = [
        sum(surprise(m, missing, labels) for missing in (deaf, numb)) for m in (fused, spoilt)
    ]
    assert surprised[0] < surprised[1] - 0.3

    calibration = {name: values[:200] for name, values in train.items()}
    model = several_to_int8(fused, calibration)
    (folder / "model.tflite").write_bytes(model)
    assert several_to_int8(fused, calibration) == model
    graph = read_graph(folder / "model.tflite")
    assert graph.float_tensors == ()
    for target in ("tflm", "tflite-runtime-2.14", "litert", "edgetpu"):
        assert lint(graph, load_profile(target))["ok"], target

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    ends = interpreter.get_input_details()
    (output,) = interpreter.get_output_details()

    def codes(inputs: Inputs, detail: Any) -> npt.NDArray[np.int8]:
        (name,) = (n for n in inputs if n in detail["name"])
        scale, zero = detail["quantization"]
        return np.clip(np.rint(inputs[name] / scale) + zero, -128, 127).astype(np.int8)

    def int8_accuracy(inputs: Inputs) -> float:
        given = [codes(inputs, detail) for detail in ends]
        said = []
        for row in range(len(labels)):
            for detail, values in zip(ends, given, strict=True):
                interpreter.set_tensor(detail["index"], values[row : row + 1])
            interpreter.invoke()
            said.append(interpreter.get_tensor(output["index"])[0].argmax())
        return float(np.mean(said == labels))

    for inputs in (test, deaf, numb):
        assert int8_accuracy(inputs) > accuracy(fused, inputs, labels) - 0.03
    for place, detail in enumerate(ends):
        np.save(folder / f"input{place}.npy", codes(test, detail)[:50])

    with pytest.raises(UserError, match="give as many of each input"):
        several_to_int8(fused, {"window": calibration["window"]})


_RUN = """
import sys
import numpy as np
folder, kind = sys.argv[1:]
given = [np.load(f"{folder}/input{place}.npy") for place in range(2)]
data = open(f"{folder}/model.tflite", "rb").read()
found = []
if kind == "tflm":
    from tflite_micro import runtime
    model = runtime.Interpreter.from_bytes(data, arena_size=200_000)
    for row in range(len(given[0])):
        for place in range(2):
            model.set_input(given[place][row : row + 1], place)
        model.invoke()
        found.append(model.get_output(0)[0].copy())
else:
    import tflite_runtime.interpreter as tflite
    model = tflite.Interpreter(
        model_content=data, experimental_op_resolver_type=tflite.OpResolverType.BUILTIN_REF
    )
    model.allocate_tensors()
    for row in range(len(given[0])):
        for detail, values in zip(model.get_input_details(), given):
            model.set_tensor(detail["index"], values[row : row + 1])
        model.invoke()
        found.append(model.get_tensor(model.get_output_details()[0]["index"])[0].copy())
np.save(f"{folder}/{kind}.npy", np.stack(found))
"""


def on_tflm(folder: Path) -> None:
    """TFLM takes two inputs, and gives what TFLite's reference kernels give."""
    for kind in ("tflm", "reference"):
        command = [sys.executable, "-c", _RUN, str(folder), kind]
        subprocess.run(command, check=True, timeout=600, capture_output=True)
    tflm, reference = (np.load(folder / f"{kind}.npy") for kind in ("tflm", "reference"))
    assert np.abs(tflm.astype(int) - reference.astype(int)).max() <= 1
