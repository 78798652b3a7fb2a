"""``export BUNDLE --to esphome DIR``: what it writes runs in pymicro-wakeword as it is, and says the same."""

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.base import UserError
from components.targets.flatbuffer import parse_graph
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import Gate, encode_manifest
from edge_agent.features.audio import AudioFeatures, front_end
from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.export.esphome import OPERATORS, esphome
from tests.fixtures.bundles import LABELS, MODEL, bundle_parts, make_bundle
from tests.fixtures.package_index import skip_unreached
from tests.fixtures.speech import utterance

MICRO = AudioFeatures(front_end="micro", window_ms=30, stride_ms=10, channels=40)
FRAMES = 98
PEER = "pymicro-wakeword==2.5.0"
SAID = ("_silence_", "yes", "_silence_", "stop", "_unknown_", "yes", "_silence_")
# Prints each probability of the stream of samples in argv[2], and where the word is detected.
PROGRAM = """
import json, sys
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures
word, features = MicroWakeWord.from_config(sys.argv[1]), MicroWakeWordFeatures()
found, fired = [], []
pcm = open(sys.argv[2], "rb").read()
for at in range(0, len(pcm), 320):
    for one in features.process_streaming(pcm[at : at + 320]):
        fires = word.process_streaming(one)
        if len(word._features) == 0:
            found.append(word._probabilities[-1])
            fired.append(bool(fires))
print(json.dumps({"probabilities": found, "fired": fired}))
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    return make_bundle(folder / "micro.bundle", features=MICRO, frames=FRAMES)


@pytest.fixture(scope="module")
def bundle(path) -> archive.Bundle:
    return archive.read(path)


@pytest.fixture(scope="module")
def exported(path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "words"
    arguments = parse(["pipeline", "export", str(path), "--to", "esphome", str(folder)])
    assert main(arguments) == 0
    return folder


def sound() -> np.ndarray:
    return np.concatenate([utterance(label, LABELS, seed=3) for label in SAID])


def expected(model: bytes, codes: np.ndarray) -> list[int]:
    """What the exported model gives on TFLite's reference kernels, in steps of 1/256."""
    interpreter = reference(model)
    entry, exit_ = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    step = entry["shape"][1]
    outputs = []
    for end in range(step, len(codes) + 1, step):
        interpreter.set_tensor(entry["index"], codes[None, end - step : end])
        interpreter.invoke()
        outputs.append(int(interpreter.get_tensor(exit_["index"])[0, 0]))
    return outputs


def reference(model: bytes):
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    made = Interpreter(model_content=model, experimental_op_resolver_type=kernels)
    made.allocate_tensors()
    return made


def test_a_manifest_and_a_model_for_each_word(bundle, exported):
    assert {path.name for path in exported.iterdir()} >= {
        "README.md", "yes.json", "yes.tflite", "no.json", "no.tflite", "stop.json", "stop.tflite"
    }  # fmt: skip
    said = json.loads((exported / "yes.json").read_text())
    assert (said["type"], said["version"], said["wake_word"]) == ("micro", 2, "yes")
    assert said["model"] == "yes.tflite"
    micro = said["micro"]
    assert (micro["probability_cutoff"], micro["sliding_window_size"]) == (0.6, 3)
    assert micro["feature_step_size"] == 10
    assert 4_000 < micro["tensor_arena_size"] < 40_000
    graph = parse_graph((exported / "yes.tflite").read_bytes())
    entry, exit_ = (graph.tensors[ends[0]] for ends in (graph.inputs, graph.outputs))
    assert entry.shape == (1, bundle.manifest.policy.hop_frames, 40)
    assert {count.name for count in graph.counts} <= OPERATORS
    assert len(graph.inputs) == len(graph.outputs) == 1
    assert exit_.shape == (1, 1)


def test_its_probability_is_that_of_the_word_against_the_strongest_other(bundle, exported):
    codes = front_end(MICRO).process(sound())
    whole = reference(bundle.files[MODEL])
    label = LABELS.index("no")
    found = expected((exported / "no.tflite").read_bytes(), codes)
    hop = bundle.manifest.policy.hop_frames
    compared = 0
    for step, probability in enumerate(found, 1):
        end = step * hop
        if end < FRAMES:
            continue
        window = codes[end - FRAMES : end]
        entry = whole.get_input_details()[0]["index"]
        whole.set_tensor(entry, window[None, :, :, None])
        whole.invoke()
        softmax = whole.get_tensor(whole.get_output_details()[0]["index"])[0].astype(int) + 128
        other = max(int(p) for i, p in enumerate(softmax) if i != label)
        own = int(softmax[label])
        assert probability >= own - 2, "never below the softmax"
        if other + own > 128:  # of smaller numbers, a ratio of whole steps says little
            assert math.isclose(probability / 256, own / (own + other), abs_tol=0.03)
            compared += 1
    assert compared > 50


def test_tflm_gives_the_same_and_keeps_its_state(exported, tmp_path):
    codes = front_end(MICRO).process(sound())
    np.save(tmp_path / "codes.npy", codes)
    program = (
        "import json, sys\n"
        "import numpy as np\n"
        "from tflite_micro.python.tflite_micro import runtime\n"
        "made = runtime.Interpreter.from_bytes(open(sys.argv[1], 'rb').read())\n"
        "codes, step, found = np.load(sys.argv[2]), int(sys.argv[3]), []\n"
        "for end in range(step, len(codes) + 1, step):\n"
        "    made.set_input(codes[None, end - step : end], 0)\n"
        "    made.invoke()\n"
        "    found.append(int(made.get_output(0)[0, 0]))\n"
        "print(json.dumps(found))\n"
    )
    model = exported / "no.tflite"
    command = [sys.executable, "-c", program, str(model), str(tmp_path / "codes.npy"), "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected(model.read_bytes(), codes)


@pytest.mark.slow
@pytest.mark.checkout
def test_pymicro_wakeword_runs_it_unchanged_and_hears_the_word(bundle, exported, tmp_path):
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        pytest.skip("uv is not installed")
    python = tmp_path / "peer" / "bin" / "python"
    for words in (
        ["venv", "--python", sys.executable, tmp_path / "peer"],
        ["pip", "install", "--python", python, PEER],
    ):
        made = subprocess.run(
            [uv, *map(str, words), "--quiet"], capture_output=True, text=True, check=False
        )
        skip_unreached(made.stderr)
        assert made.returncode == 0, made.stderr
    (tmp_path / "sound.raw").write_bytes(sound().tobytes())
    # The word that the stand-in hears on this front end, whose noise estimate follows the sound.
    command = [python, "-I", "-c", PROGRAM, exported / "no.json", tmp_path / "sound.raw"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    codes = front_end(MICRO).process(sound())
    model = (exported / "no.tflite").read_bytes()
    wanted = np.array(expected(model, codes)) / 256
    found = np.array(told["probabilities"])
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 8 / 256, "kernels and the rounding of features differ"
    # What the manifest's window and cut-off make of these is what it does.
    fired = np.array(told["fired"][2:])
    means = np.convolve(wanted, np.ones(3) / 3, "valid")
    sure = np.abs(means - 0.6) > 8 / 256
    np.testing.assert_array_equal(fired[sure], means[sure] > 0.6)
    assert 5 < fired.sum() < len(fired) - 5


@pytest.mark.parametrize("form", ["log_mel", "gate", "odd"])
def test_what_has_no_form_for_esphome_says_what_to_change(form, tmp_path):
    if form == "log_mel":
        manifest, files = bundle_parts()
        words = "--set Transform.front_end=micro"
    else:
        manifest, files = bundle_parts(features=MICRO, frames=FRAMES)
        words = "use shorter steps"
        if form == "gate":
            gate = Gate(opens_at=0.5, macs=1, golden_outputs=manifest.golden.outputs)
            stages = (
                dataclasses.replace(manifest.stages[0], name="gate", gate=gate),
                dataclasses.replace(manifest.stages[0], gated_by="gate"),
            )
            manifest = dataclasses.replace(manifest, schema_version="1.2", stages=stages)
            words = "has a gate"
        else:
            policy = dataclasses.replace(manifest.policy, hop_frames=200)
            manifest = dataclasses.replace(manifest, policy=policy)
    (tmp_path / "b.bundle").write_bytes(archive.pack(encode_manifest(manifest), files))
    with pytest.raises(UserError, match=words):
        esphome(archive.read(tmp_path / "b.bundle"))
