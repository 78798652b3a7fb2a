"""Pruning, distilling and quantisation-aware training, one after the other on a small network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import read_json
from components.pruner.component import PrunerParameters
from components.quantizer.component import QuantizerParameters
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import write_features

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {
    "examples_per_epoch": 160,
    "batch": 32,
    "ema": 0.8,
    "gain": 2.0,
    "threads": THREADS,
}
SHARE = 0.5
LEAST = 120


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Path:
    """Artifacts ``features teacher student pruned distilled quantized int8``, made in this order."""
    folder = tmp_path_factory.mktemp("chain")
    make_chain(folder)
    return folder


@with_tensorflow
def make_chain(folder: Path) -> None:
    from components.converter import executor as converter
    from components.converter.component import ConverterParameters
    from components.distiller import executor as distiller
    from components.distiller.component import DistillerParameters
    from components.pruner import executor as pruner
    from components.quantizer import executor as quantizer
    from components.trainer import executor as trainer
    from components.trainer.component import TrainerParameters

    def step(executor: Any, name: str, inputs: dict[str, str], parameters: Any) -> None:
        output = folder / name
        output.mkdir()
        found = {key: folder / value for key, value in inputs.items()}
        executor.execute({"features": folder / "features", **found}, {"model": output}, parameters)

    write_features(folder / "features")
    step(trainer, "teacher", {}, TrainerParameters(widths=(8,), epochs=1, **SHORT))
    step(trainer, "student", {}, TrainerParameters(widths=(4,), epochs=1, **SHORT))
    pruning = PrunerParameters(
        final_sparsity=SHARE, frequency=1, least_weights=LEAST, epochs=3, **SHORT
    )
    step(pruner, "pruned", {"model": "student"}, pruning)
    both = {"model": "pruned", "teacher": "teacher"}
    step(distiller, "distilled", both, DistillerParameters(epochs=2, **SHORT))
    both = {"model": "distilled", "teacher": "distilled"}
    step(quantizer, "quantized", both, QuantizerParameters(epochs=1, **SHORT))
    step(converter, "int8", {"model": "quantized"}, ConverterParameters(calibration_rows=32))


def kernels(folder: Path) -> dict[str, np.ndarray]:
    """The kernels in a model file, by the name of their layer without what wrappers add."""
    import h5py

    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and name.endswith("/kernel:0"):
            layer = name.split("/")[-2].removeprefix("quant_").removeprefix("prune_low_magnitude_")
            found[layer] = np.asarray(item)

    with h5py.File(folder / "model.h5") as file:
        file.visititems(visit)
    return found


def test_the_larger_kernels_get_exactly_the_share_of_zeros(chain):
    found = kernels(chain / "pruned")
    large = {name: k for name, k in found.items() if k.size >= LEAST}
    assert 1 <= len(large) < len(found)
    for name, kernel in found.items():
        zeros = int((kernel == 0).sum())
        assert zeros == (round(SHARE * kernel.size) if name in large else 0), name
    total = sum(k.size for k in found.values())
    share = sum(k.size for k in large.values()) * SHARE / total
    assert read_json(chain / "pruned" / "model.json")["sparsity"] == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("later", ["distilled", "quantized"])
def test_zeros_survive_what_comes_after(chain, later):
    before, after = kernels(chain / "pruned"), kernels(chain / later)
    assert set(after) == set(before)
    changed = 0
    for name, kernel in before.items():
        assert not after[name][kernel == 0].any(), name
        changed += int((after[name] != kernel).sum())
    assert changed


def test_the_model_that_is_converted_takes_the_codes_as_they_are(chain):
    from components.targets.flatbuffer import parse_graph

    graph = parse_graph((chain / "int8" / "model.tflite").read_bytes())
    entry = graph.tensors[graph.inputs[0]].quantisation
    assert entry is not None
    assert (entry.scales, entry.zero_points) == ((1 / 32,), (0,))
    assert graph.float_tensors == ()


def test_each_step_leaves_a_model_with_its_curves(chain):
    for name, epochs in (("student", 1), ("pruned", 3), ("distilled", 2), ("quantized", 1)):
        history = read_json(chain / name / "history.json")
        assert {len(curve) for curve in history.values()} == {epochs}
        description = read_json(chain / name / "model.json")
        assert description["architecture"] == "streaming_resnet"
        assert description["params"] > 0 < description["macs"]


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"hard_weight": 1.1}])
def test_quantising_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        QuantizerParameters(**wrong)
