"""An early-exit pair: sure of the easy windows after a few layers, and two int8 models that say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.fixtures.apart import with_tensorflow

FRAMES, CHANNELS, LABELS = 16, 16, 4
SURE = 0.7
Float32 = npt.NDArray[np.float32]
pytestmark = pytest.mark.slow


def windows(rows: int, seed: int) -> tuple[Float32, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The level tells the label of the easy half; of the hard one, how fast a bar moves through it."""
    random = np.random.default_rng(seed)
    labels, hard = random.integers(0, LABELS, rows), random.random(rows) < 0.5
    found = random.normal(0.0, 0.3, (rows, FRAMES, CHANNELS, 1))
    found[~hard] += 0.6 * (labels[~hard, None, None, None] + 1)
    for row in np.flatnonzero(hard):
        start, speed = random.integers(6, 10), (labels[row] - 1.5) / 4
        for frame in range(FRAMES):
            place = round(start + speed * (frame - FRAMES / 2))
            found[row, frame, np.clip(np.arange(place, place + 3), 0, CHANNELS - 1)] += 1.0
    return found.astype(np.float32), labels, hard


@with_tensorflow
def test_one_width_leaves_nothing_behind_the_exit() -> None:
    from components.models.early_exit import early_exit

    with pytest.raises(ValueError, match="two or more"):
        early_exit(frames=FRAMES, channels=CHANNELS, labels=LABELS, widths=(8,))


@with_tensorflow
def test_the_easy_leave_early_and_the_pair_decides_as_the_whole(tmp_path: Path) -> None:
    import tf_keras as keras

    from components.converter.several_inputs import several_to_int8
    from components.models.early_exit import TRUNK, WINDOW, early_exit
    from components.targets.flatbuffer import read_graph
    from components.targets.lint import lint
    from components.targets.profile import load_profile

    keras.utils.set_random_seed(2)
    pair = early_exit(frames=FRAMES, channels=CHANNELS, labels=LABELS, widths=(8, 24))
    inputs, labels, _ = windows(1500, 1)
    loss = "sparse_categorical_crossentropy"
    rate = keras.optimizers.schedules.CosineDecay(8e-3, 12 * len(inputs) // 32)
    pair.joint.compile(keras.optimizers.Adam(rate), [loss, loss])
    pair.joint.fit(inputs, [labels, labels], batch_size=32, epochs=12, verbose=0)

    test, truth, hard = windows(400, 2)
    early, late = (output.numpy() for output in pair.joint(test, training=False))
    leaves = early.max(1) >= SURE
    assert leaves[~hard].mean() > 0.8 > leaves[hard].mean() + 0.3
    decided = np.where(leaves, early.argmax(1), late.argmax(1))
    late_accuracy = (late.argmax(1) == truth).mean()
    assert late_accuracy > (early.argmax(1) == truth).mean() + 0.05
    assert (decided == truth).mean() > late_accuracy - 0.03

    trunks = pair.head(inputs[:200], training=False)[1].numpy()
    files = {"head": several_to_int8(pair.head, {WINDOW: inputs[:200]})}
    files["tail"] = several_to_int8(pair.tail, {TRUNK: trunks})
    graphs = {}
    for name, data in files.items():
        (tmp_path / f"{name}.tflite").write_bytes(data)
        graphs[name] = read_graph(tmp_path / f"{name}.tflite")
        assert graphs[name].float_tensors == ()
        for target in ("tflm", "tflite-runtime-2.14", "litert", "edgetpu"):
            assert lint(graphs[name], load_profile(target))["ok"], (name, target)
    share = float(1 - leaves.mean())
    spent = graphs["head"].macs + share * graphs["tail"].macs
    assert spent < 0.8 * (graphs["head"].macs + graphs["tail"].macs)
    agrees(files, test, leaves, decided)


def agrees(
    files: dict[str, bytes], test: Float32, leaves: npt.NDArray[np.bool_], decided: Any
) -> None:
    """The two int8 models, the tail run only where the head is not sure, decide as the float network."""
    from ai_edge_litert.interpreter import Interpreter

    head, tail = (Interpreter(model_content=files[name]) for name in ("head", "tail"))
    for model in (head, tail):
        model.allocate_tensors()
    (window,), (trunk,) = head.get_input_details(), tail.get_input_details()
    early, passed = sorted(head.get_output_details(), key=lambda d: len(d["shape"]))
    (late,) = tail.get_output_details()
    # Both read the trunk on nearly one grid: what the head gives goes on as it is.
    assert passed["quantization"][0] == pytest.approx(trunk["quantization"][0], rel=0.01)
    assert abs(passed["quantization"][1] - trunk["quantization"][1]) <= 1
    scale, zero = window["quantization"]
    codes = np.clip(np.rint(test / scale) + zero, -128, 127).astype(np.int8)
    said, left = [], []
    for row in range(len(codes)):
        head.set_tensor(window["index"], codes[row : row + 1])
        head.invoke()
        found = head.get_tensor(early["index"])[0]
        step, least = early["quantization"]
        left.append((float(found.max()) - least) * step >= SURE)
        if not left[-1]:
            tail.set_tensor(trunk["index"], head.get_tensor(passed["index"]))
            tail.invoke()
            found = tail.get_tensor(late["index"])[0]
        said.append(int(found.argmax()))
    assert np.mean(np.array(said) == decided) > 0.95
    assert np.mean(np.array(left) == leaves) > 0.9
