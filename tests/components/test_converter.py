import json

import numpy as np
import pytest
import zstandard

from components.converter.strip import strip
from components.infra_validator.measure import Measured, measure
from components.targets.flatbuffer import parse_graph
from components.targets.schema import schema
from tests.fixtures import networks

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("network", ["plain", "aware"])
def test_a_model_becomes_full_integer_on_the_grid_of_the_codes(network: str) -> None:
    folder = networks.workshop() / f"{network}-int8"
    model = (folder / "model.tflite").read_bytes()
    conversion = json.loads((folder / "conversion.json").read_text())
    graph = parse_graph(model)
    entry, exit_ = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (entry.dtype, entry.shape) == ("int8", (1, networks.FRAMES, networks.CHANNELS, 1))
    assert entry.signature == entry.shape
    assert entry.quantisation is not None
    assert (entry.quantisation.scales, entry.quantisation.zero_points) == ((1 / 32,), (0,))
    assert (exit_.dtype, exit_.shape) == ("int8", (1, len(networks.LABELS)))
    assert {"name": "FULLY_CONNECTED", "version": 4, "count": 1} in conversion["operators"]
    assert conversion["float_tensors"] == []
    assert conversion["bytes"] == len(model)
    assert conversion["download_bytes"] == len(zstandard.ZstdCompressor(level=19).compress(model))
    assert conversion["macs"] == 14 * 10 * 4 * 9 + 12 * 8 * 4 * 36 + 4 * 3


def test_the_same_model_converts_to_the_same_bytes() -> None:
    first, again = (networks.workshop() / name for name in ("plain-int8", "again-int8"))
    assert (first / "model.tflite").read_bytes() == (again / "model.tflite").read_bytes()
    assert (first / "conversion.json").read_bytes() == (again / "conversion.json").read_bytes()


def test_stripping_saves_bytes_and_changes_no_output_of_any_runtime() -> None:
    before = networks.workshop() / "unstripped.tflite"
    after = before.with_name("stripped.tflite")
    after.write_bytes(strip(before.read_bytes()))
    assert after.stat().st_size < 0.85 * before.stat().st_size
    assert strip(after.read_bytes()) == after.read_bytes()
    random = np.random.default_rng(5)
    codes = random.integers(-128, 128, (20, networks.FRAMES, networks.CHANNELS), np.int8)
    for runtime in ("reference", "tflite_runtime", "litert", "tflm"):
        first, second = (measure(runtime, path, codes, 1) for path in (before, after))
        assert isinstance(first, Measured)
        assert isinstance(second, Measured)
        assert np.array_equal(first.outputs, second.outputs)


def test_equal_quantisation_stands_once_in_a_stripped_file() -> None:
    unstripped = (networks.workshop() / "unstripped.tflite").read_bytes()
    assert any(len(where) > 1 for where in places_of_quantisation(unstripped).values())
    assert all(len(where) == 1 for where in places_of_quantisation(strip(unstripped)).values())


def places_of_quantisation(model: bytes) -> dict[object, set[int]]:
    """Where in the file each quantisation that tensors have stands."""
    graph = schema().Model.GetRootAs(model, 0).Subgraphs(0)
    places: dict[object, set[int]] = {}
    for i in range(graph.TensorsLength()):
        table = graph.Tensors(i).Quantization()
        if table is not None and table.ScaleLength():
            content = (table.ScaleAsNumpy().tobytes(), table.ZeroPointAsNumpy().tobytes())
            places.setdefault((*content, table.QuantizedDimension()), set()).add(table._tab.Pos)
    return places


@pytest.mark.parametrize(
    ("case", "said"), [("text", "model.h5: is not a model"), ("shorter", "on these features")]
)
def test_what_cannot_be_converted_is_refused_and_nothing_is_left(case: str, said: str) -> None:
    refusals = json.loads((networks.workshop() / "refusals.json").read_text())
    assert said in refusals[case]
    assert list((networks.workshop() / "refused").iterdir()) == []
