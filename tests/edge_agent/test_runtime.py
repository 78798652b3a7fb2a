"""The seam to the interpreters: both agree, and what is not a sound int8 model is refused."""

import os
import random
import subprocess
import sys
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edge_agent import runtime
from edge_agent.features.audio import INPUT_SCALE, AudioFeatures, clip_codes
from edge_agent.flatbuffer import StructureError, check_structure
from edge_agent.runtime import RuntimeModelError, open_model
from tests.fixtures.bundles import LABELS
from tests.fixtures.models import tone_model
from tests.fixtures.speech import utterance

MODEL = tone_model(LABELS, AudioFeatures(), 49)
RUNTIMES = ("litert", "tflite_runtime")


@pytest.mark.parametrize("name", RUNTIMES)
def test_runs_a_model_and_says_what_it_takes_and_gives(name):
    model = open_model(MODEL, runtime=name)
    assert model.runtime == name
    assert model.version[0].isdigit()
    assert model.input.shape == (1, 49, 40, 1)
    assert (model.input.scale, model.input.zero_point) == (INPUT_SCALE, 0)
    assert model.output.shape == (1, len(LABELS))
    assert (model.output.scale, model.output.zero_point) == (1 / 256, -128)
    for place, label in enumerate(LABELS):
        output = model.invoke(clip_codes(utterance(label, LABELS, seed=50), AudioFeatures()))
        assert output.dtype == np.int8
        assert output.shape == (len(LABELS),)
        assert output.argmax() == place


def test_an_output_stays_as_it_was_when_the_model_runs_again():
    model = open_model(MODEL)
    codes = [clip_codes(utterance(label, LABELS), AudioFeatures()) for label in ("yes", "no")]
    first = model.invoke(codes[0])
    kept = first.copy()
    model.invoke(codes[1])
    np.testing.assert_array_equal(first, kept)


def test_auto_takes_litert_and_falls_back_where_it_is_missing(monkeypatch):
    assert open_model(MODEL).runtime == "litert"
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert open_model(MODEL).runtime == "tflite_runtime"
    with pytest.raises(RuntimeModelError, match="pip install ai-edge-litert"):
        open_model(MODEL, runtime="litert")
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(RuntimeModelError, match="ai-edge-litert or tflite-runtime"):
        open_model(MODEL)


@pytest.mark.parametrize(
    "codes", [np.zeros((48, 40), np.int8), np.zeros((49, 40), np.float32), np.zeros(0, np.int8)]
)
def test_codes_that_do_not_fit_are_refused(codes):
    with pytest.raises(RuntimeModelError, match="takes int8"):
        open_model(MODEL).invoke(codes)


def test_nothing_is_printed_by_native_code(capfd):
    for name in RUNTIMES:
        model = open_model(MODEL, runtime=name)
        model.invoke(np.zeros((49, 40), np.int8))
    assert capfd.readouterr() == ("", "")


def changed(change) -> bytes:
    """The model, taken apart, changed, and laid out again."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(MODEL))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_taken_apart_and_laid_out_again_it_is_still_sound():
    check_structure(changed(lambda model, graph: None))


CHANGES = {
    "no graph": lambda model, graph: setattr(model, "subgraphs", []),
    "graph input": lambda model, graph: setattr(graph, "inputs", [99]),
    "graph output": lambda model, graph: setattr(graph, "outputs", [-1]),
    "operator input": lambda model, graph: setattr(graph.operators[0], "inputs", [8]),
    "operator output": lambda model, graph: setattr(graph.operators[0], "outputs", [-1]),
    "code that is not listed": lambda model, graph: setattr(graph.operators[0], "opcodeIndex", 4),
    "outside the file": lambda model, graph: setattr(
        graph.operators[0], "largeCustomOptionsSize", 9
    ),
    "shape is out of bounds": lambda model, graph: setattr(graph.tensors[0], "shape", [1, 1 << 30]),
    "buffer does not exist": lambda model, graph: setattr(graph.tensors[0], "buffer", 4),
    "bytes do not fit": lambda model, graph: setattr(graph.tensors[3], "shape", [5, 41]),
    "differ in number": lambda model, graph: setattr(
        graph.tensors[3].quantization, "zeroPoint", [0, 0]
    ),
    "scales do not fit": lambda model, graph: setattr(
        graph.tensors[3].quantization, "scale", [1.0] * 3
    ),
    "lies outside the tables": lambda model, graph: setattr(model.buffers[1], "offset", 4000),
}


@pytest.mark.parametrize("message", CHANGES)
def test_an_inconsistent_model_is_refused_before_native_code_sees_it(message):
    with pytest.raises(RuntimeModelError, match=message):
        open_model(changed(CHANGES[message]))


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda model, graph: setattr(model.operatorCodes[0], "builtinCode", 9_999),
            "does not take",
        ),
        (lambda model, graph: setattr(model.operatorCodes[2], "version", 99), "does not take"),
        (lambda model, graph: setattr(graph, "inputs", [0, 1]), "2 inputs"),
        (lambda model, graph: setattr(graph.tensors[0], "type", 0), "does not take|not int8"),
    ],
)
def test_a_model_for_another_runtime_or_agent_is_refused(name, change, message):
    with pytest.raises(RuntimeModelError, match=message):
        open_model(changed(change), runtime=name)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x1c\0\0\0TFL3", b"no model at all" * 100])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(StructureError):
        check_structure(data)
    with pytest.raises(RuntimeModelError, match=r"not a whole \.tflite file"):
        open_model(data)


def test_damage_anywhere_never_takes_the_process_with_it(tmp_path):
    """In a child, because failing would end the run: cuts, single bytes, and whole offsets."""
    (tmp_path / "model.tflite").write_bytes(MODEL)
    script = (
        "import random, sys\n"
        "import numpy as np\n"
        "from edge_agent.runtime import RuntimeModelError, open_model\n"
        "whole = open(sys.argv[1], 'rb').read()\n"
        "for seed in range(300):\n"
        "    r, data = random.Random(seed), bytearray(whole)\n"
        "    place = r.randrange(8, len(data) - 4)\n"
        "    if seed % 3 == 0: del data[place:]\n"
        "    elif seed % 3 == 1: data[place] = r.randrange(256)\n"
        "    else: data[place : place + 4] = r.randbytes(4)\n"
        "    try:\n"
        "        model = open_model(bytes(data), runtime='tflite_runtime')\n"
        "        model.invoke(np.zeros(model.input.shape, np.int8))\n"
        "    except RuntimeModelError:\n"
        "        pass\n"
        "print('survived')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "model.tflite")]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    assert found.stdout == "survived\n", found.stderr


def _environment() -> dict[str, str]:
    root = Path(runtime.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": str(root)}


def test_importing_the_seam_imports_no_interpreter():
    script = (
        "import sys, edge_agent.keyword.evaluation, edge_agent.workloads.keyword\n"
        "print([m for m in ('ai_edge_litert', 'tflite_runtime', 'soxr', 'tensorflow', 'tuf',\n"
        "    'pymicro_features') if m in sys.modules])"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment())
    assert found.stdout == "[]\n"


@pytest.mark.fuzz
def test_damage_in_many_places_is_always_refused_in_an_orderly_way():
    for seed in range(20_000):
        chance, data = random.Random(seed), bytearray(MODEL)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        try:
            check_structure(bytes(data))
        except StructureError:
            continue
