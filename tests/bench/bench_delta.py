"""What a delta costs after a real fine-tune, against bsdiff4 and the whole file.

A keyword model is trained for a short while, quantised and converted; then the quantised model is
trained on (other augmentation, small learning rate), keeps its scales, and is converted again. Scales are
the ranges of the rounding and, since it is folded into the kernels, the normalisation of batches. Both
stand in a bundle. The peer is bsdiff4 from PyPI in an environment of its own; the CPU is that of
rebuilding the bundle on this machine, with the hashes of base and result in ours alone.

How far any coder could go is measured beside it: the entropy of the differences of all tensors, by what is
known of a difference: its tensor, the one before it, the old weight, the difference at the same place of the
row before. Those are the entropies of counts: a coder must also learn the counts.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import dataclasses
import io
import json
import lzma
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.converter import executor as converter
from components.converter.component import ConverterParameters
from components.converter.convert import load_model
from components.example_gen.component import ExampleGenParameters
from components.example_gen.executor import execute as generate
from components.quantizer.component import QuantizerParameters
from components.trainer.component import TrainerParameters
from components.transform.component import TransformParameters
from components.transform.executor import execute as transform
from edge_agent.bundle import archive, delta, packing
from edge_agent.bundle.alignment import match
from edge_agent.bundle.constants import Constant, constants
from edge_agent.bundle.manifest import encode_manifest
from tests.bench.table import TOP, Figure, data_folder, publish

_BSDIFF4 = "bsdiff4==1.2.6"
_THREADS = 2
# Examples, and peak of the learning rate; one as long and as fast as a Quantizer trains by default.
_DEFAULT = QuantizerParameters()
_TUNES = {
    f"{examples:,} examples at {rate:g}": (examples, rate)
    for examples, rate in (
        (4096, 1e-4),
        (32_768, 1e-4),
        (_DEFAULT.epochs * _DEFAULT.examples_per_epoch, _DEFAULT.learning_rate),
        (32_768, 2e-3),
    )
}
_REPEATS = 20
NAMES = ("old", "new")
_PEER = """
import bsdiff4, json, sys, time
old, new = (open(path, "rb").read() for path in sys.argv[1:3])
patch = bsdiff4.diff(old, new)
begun = time.process_time()
for _ in range(int(sys.argv[3])):
    made = bsdiff4.patch(old, patch)
seconds = (time.process_time() - begun) / int(sys.argv[3])
assert made == new
print(json.dumps({"bytes": len(patch), "seconds": seconds}))
"""


def main() -> None:
    """Trains, tunes, and publishes the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = _bundle(_train(folder))
        figures = []
        for title, (examples, rate) in _TUNES.items():
            new = _bundle(_tune(folder, examples, rate))
            figures += _figures(folder, title, old, new)
    publish("delta", figures)


Bytes = npt.NDArray[np.uint8]
_INT8 = 9  # of a tensor, by TensorFlow Lite's schema
_PLAIN = "by tensor"
_BEFORE, _WEIGHT, _ROW = "after the one before", "by old weight", "below that of the row before"


def _entropies(old: bytes, new: bytes) -> Iterator[Figure]:
    """How many weights moved; bytes of the packed differences of all tensors, and their entropies."""
    pairs = list(match(constants(old), constants(new)))
    moved = [_bytes(new, b) - _bytes(old, a) for a, b in pairs]
    weights = np.concatenate(
        [d for (_, b), d in zip(pairs, moved, strict=True) if b.form[0] == _INT8]
    )
    yield Figure(
        figure="weights that moved, all", ours=np.count_nonzero(weights), peer=weights.size, unit=""
    )
    packed = len(packing.pack_numbers(b"".join(d.tobytes() for d in moved))[1])
    bits = dict.fromkeys((_PLAIN, _BEFORE, _WEIGHT, _ROW), 0.0)
    for (a, b), d in zip(pairs, moved, strict=True):
        row = b.form[-1] if len(b.form) > 1 else 1
        bits[_PLAIN] += _bits(d, np.zeros_like(d))
        bits[_BEFORE] += _bits(d, np.concatenate([d[:1], d[:-1]]))
        bits[_WEIGHT] += _bits(d, _bytes(old, a) >> 4)
        bits[_ROW] += _bits(d, np.concatenate([d[:row], d[:-row]]))
    for name, value in bits.items():
        yield Figure(figure=f"differences, entropy {name}", ours=packed, peer=value / 8, unit="B")


def _bytes(model: bytes, constant: Constant) -> Bytes:
    return np.frombuffer(model[constant.start : constant.start + constant.bytes], np.uint8)


def _bits(values: Bytes, given: Bytes) -> float:
    """The entropy of `values` where `given` is known, times their number."""
    both = np.bincount(values.astype(np.int64) * 256 + given, minlength=65536)
    return _times_log(np.bincount(given, minlength=256)) - _times_log(both)


def _times_log(counts: npt.NDArray[np.int64]) -> float:
    some = counts[counts > 0]
    return float((some * np.log2(some)).sum())


def _figures(folder: Path, title: str, old: bytes, new: bytes) -> list[Figure]:
    ours = delta.make(old, new)
    begun = time.process_time()
    for _ in range(_REPEATS):
        output = io.BytesIO()
        delta.apply(io.BytesIO(old), io.BytesIO(ours), output)
    seconds = (time.process_time() - begun) / _REPEATS
    if output.getvalue() != new:
        raise SystemExit("the delta does not give the new bundle")
    peer = _bsdiff4(folder, old, new)
    whole = float(len(new))
    return [
        Figure(figure=f"{title}: delta, bsdiff4", ours=len(ours), peer=peer["bytes"], unit="B"),
        Figure(figure=f"{title}: delta, whole bundle", ours=len(ours), peer=whole, unit="B"),
        Figure(
            figure=f"{title}: delta, bundle by xz", ours=len(ours), peer=len(lzma.compress(new)),
            unit="B",
        ),
        Figure(
            figure=f"{title}: CPU to rebuild", ours=1000 * seconds, peer=1000 * peer["seconds"],
            unit="ms",
        ),
        *(
            dataclasses.replace(figure, figure=f"{title}: {figure.figure}")
            for figure in _entropies(*(archive.read(folder / n).files["model.tflite"] for n in NAMES))
        ),
    ]  # fmt: skip


def _bsdiff4(folder: Path, old: bytes, new: bytes) -> dict[str, float]:
    environment = TOP / "var" / "bench" / "bsdiff4"
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", _BSDIFF4], check=True)
    for name, data in zip(NAMES, (old, new), strict=True):
        (folder / name).write_bytes(data)
    command = [python, "-c", _PEER, *(folder / name for name in NAMES), str(_REPEATS)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    told: dict[str, float] = json.loads(answer.stdout)
    return told


def _train(folder: Path) -> bytes:
    from components.quantizer import executor as quantizer
    from components.trainer import executor as trainer

    for name in ("examples", "features", "float", "aware"):
        (folder / name).mkdir()
    data = data_folder("speech_commands_v2_subset")
    generate({"recordings": data}, {"examples": folder / "examples"}, ExampleGenParameters())
    transform(
        {"examples": folder / "examples"},
        {"features": folder / "features"},
        TransformParameters(train_views=4, eval_views=1, beam_options=("--runner=DirectRunner",)),
    )
    features = folder / "features"
    trainer.execute(
        {"features": features},
        {"model": folder / "float"},
        TrainerParameters(epochs=3, examples_per_epoch=16_384, threads=_THREADS),
    )
    quantizer.execute(
        {"features": features, "model": folder / "float", "teacher": folder / "float"},
        {"model": folder / "aware"},
        QuantizerParameters(epochs=1, examples_per_epoch=16_384, threads=_THREADS),
    )
    return _converted(folder, "aware")


def _tune(folder: Path, examples: int, rate: float) -> bytes:
    """Trains the quantised model on, keeps its scales, and converts it."""
    import tf_keras as keras

    from components.training import loop
    from components.training.data import FeatureSet
    from components.training.losses import distillation_loss

    model = load_model(folder / "aware" / "model.h5")
    for layer in model.layers:
        if isinstance(getattr(layer, "layer", layer), keras.layers.BatchNormalization):
            layer.trainable = False
    ranges = [(w, w.numpy()) for w in model.weights if w.name.endswith(("_min:0", "_max:0"))]
    parameters = QuantizerParameters(
        epochs=1, examples_per_epoch=examples, learning_rate=rate, seed=7,
        threads=_THREADS,
    )  # fmt: skip
    teacher = keras.models.load_model(folder / "float" / "model.h5", compile=False)
    loss: Any = distillation_loss(teacher, 1.0, 0.5, parameters.label_smoothing)
    features = FeatureSet.open(folder / "features")
    name = f"tuned-{examples}-{rate}"
    (folder / name).mkdir()
    loop.fit(model, features, parameters.schedule(), parameters.augmentation(), loss, folder / name)
    for weight, value in ranges:
        weight.assign(value)
    model.save(folder / name / "model.h5")
    shutil.copy(folder / "aware" / "model.json", folder / name)
    return _converted(folder, name)


def _converted(folder: Path, name: str) -> bytes:
    output = folder / f"{name}-int8"
    output.mkdir()
    converter.execute(
        {"features": folder / "features", "model": folder / name},
        {"model": output},
        ConverterParameters(),
    )
    return (output / "model.tflite").read_bytes()


def _bundle(model: bytes) -> bytes:
    """A bundle around `model`, laid out as a real one; its golden vectors are another model's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.bundle"
        # In a process of its own: tflite-runtime and TensorFlow crash beside each other.
        program = "import sys, pathlib; from tests.fixtures.bundles import make_bundle\n"
        program += "make_bundle(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", program, path], check=True, cwd=TOP)
        bundle = archive.read(path)
    files = {**bundle.files, "model.tflite": model}
    manifest = dataclasses.replace(bundle.manifest, files=archive.describe_files(files))
    return archive.pack(encode_manifest(manifest), files)


if __name__ == "__main__":
    main()
    sys.exit()
