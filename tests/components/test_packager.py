"""The Packager: one bundle from all that was made, the same each time, and fit for a device."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import read_json, write_json
from components.early_exit import executor as early_exit
from components.early_exit.component import EarlyExitParameters
from components.infra_validator.reference import reference_outputs
from components.packager import executor as packager
from components.packager.adaptation import last_layer
from components.packager.component import Packager, PackagerParameters
from components.packager.executor import execute
from components.streamer import executor as streamer
from components.streamer.component import StreamerParameters
from edge_agent import selftest
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.head import backbone, shipped_head
from tests.fixtures.features import FRAMES, FRONT_END, LABELS, write_features
from tests.fixtures.models import strided_tone_model, tone_model

PAYLOADS = Path(__file__).parents[1] / "payloads"
POLICY = {
    "hop_frames": 2,
    "smoothing": 3,
    "thresholds": {"yes": 0.7, "no": 0.7},
    "refractory_ms": 800,
    "clip_hops": [-1, 0, 1],
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    """The Packager's input folders."""
    folder = tmp_path_factory.mktemp("packager")
    found = {name: folder / name for name in Packager.INPUTS}
    write_features(found["features"])
    for name, files in {
        "examples": ["examples"],
        "trained": ["model"],
        "model": ["conversion"],
        "device_model": ["conversion"],
        "evaluation": ["evaluation"],
        "infra_validation": ["infra_validation"],
    }.items():
        found[name].mkdir()
        for file in files:
            content = json.loads((PAYLOADS / f"{file}.json").read_text())
            if file == "evaluation":
                content |= {"policy": POLICY, "score_mean": [0.4, 0.9]}
            write_json(found[name] / f"{file}.json", content)
        write_json(found[name] / "lineage.json", {"component": name, "cache_key": name * 8})
    model = tone_model(LABELS, FRONT_END, FRAMES)
    for name in ("model", "device_model"):
        (found[name] / "model.tflite").write_bytes(model)
    return found


@pytest.fixture(scope="module")
def streaming(inputs, tmp_path_factory) -> dict[str, Path]:
    """The input folders with the model in streaming form."""
    folder = tmp_path_factory.mktemp("streaming")
    streamer.execute(inputs, {"model": folder}, StreamerParameters(form="streaming"))
    return inputs | {"device_model": folder}


def pack(inputs: dict[str, Path], folder: Path, **parameters: object) -> Path:
    folder.mkdir()
    execute(inputs, {"bundle": folder}, PackagerParameters(**parameters))
    return folder / "candidate.bundle"


@pytest.fixture(scope="module")
def bundle(inputs, tmp_path_factory) -> archive.Bundle:
    return archive.read(pack(inputs, tmp_path_factory.mktemp("bundle") / "b"))


def test_the_same_inputs_give_the_same_bytes(inputs, tmp_path):
    first, again = (pack(inputs, tmp_path / name) for name in ("a", "b"))
    assert first.read_bytes() == again.read_bytes()


def test_what_was_measured_decides_the_bytes_and_who_measured_it_does_not(inputs, tmp_path):
    first = pack(inputs, tmp_path / "first").read_bytes()
    path = inputs["evaluation"] / "lineage.json"
    before = path.read_bytes()
    write_json(path, {"component": "Evaluator", "cache_key": "another"})
    second = pack(inputs, tmp_path / "second").read_bytes()
    path.write_bytes(before)
    assert first == second
    assert pack(inputs, tmp_path / "third", licence="CC0-1.0").read_bytes() != first


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_the_golden_vectors_pass_on_the_device(bundle, runtime):
    result = selftest.run(bundle, runtime=runtime)
    assert (result.runtime, result.vectors) == (runtime, 8)
    assert result.max_lsb <= result.tolerance
    assert result.tolerance >= 16


def test_a_few_recorded_clips_of_each_label_tell_whether_it_forgets(bundle, inputs):
    check = bundle.manifest.check_set
    codes, labels = bundle.array(check.codes), bundle.array(check.labels)
    assert np.bincount(labels).tolist() == [4] * len(LABELS)
    assert codes.shape == (len(labels), FRAMES, FRONT_END.channels)
    classifier = KeywordClassifier(bundle.manifest, bundle.files)
    said = [classifier.probabilities(row.astype(np.int8)).argmax() for row in codes]
    assert check.accuracy == pytest.approx(np.mean(said == labels), abs=1.01 / len(labels))


def test_the_manifest_says_what_was_decided(bundle, inputs):
    manifest = bundle.manifest
    infra = read_json(inputs["infra_validation"] / "infra_validation.json")
    assert manifest.labels == LABELS
    assert manifest.features == FRONT_END
    assert manifest.stages[0].frames == FRAMES
    assert manifest.policy.thresholds == POLICY["thresholds"]
    assert manifest.policy.clip_hops == (-1, 0, 1)
    assert manifest.warm_up_frames == FRAMES + 2 * 2
    assert manifest.targets == tuple(t["target"] for t in infra["targets"] if t["ok"])
    assert manifest.arena_bytes == infra["arena_bytes"]
    assert manifest.envelope.score_mean == (0.4, 0.9)
    assert set(manifest.golden.tolerance) == {"tflite_runtime", "litert"}
    card = bundle.files["model_card.md"].decode()
    assert card.startswith("# Model card: keyword_spotting")


def test_bounds_for_a_room_are_the_device_s_and_stand_on_the_card(inputs, tmp_path):
    evaluation = tmp_path / "evaluation"
    shutil.copytree(inputs["evaluation"], evaluation)
    content = read_json(evaluation / "evaluation.json")
    room = {
        "near_per_hour": 90.0,
        "lowest": {"yes": 0.6, "no": 0.6},
        "highest": {"yes": 0.8, "no": 0.9},
        "lowest_accepts": 2.0,
        "highest_accepts": 0.25,
        "memory_hours": 24.0,
    }
    content["policy"]["room"] = room
    write_json(evaluation / "evaluation.json", content)
    packed = archive.read(pack(inputs | {"evaluation": evaluation}, tmp_path / "b"))
    assert packed.manifest.schema_version == "1.8"
    assert packed.manifest.policy.room.highest == {"yes": 0.8, "no": 0.9}
    assert "no 0.60 to 0.90" in packed.files["model_card.md"].decode()


def test_a_gate_is_a_stage_of_its_own_with_its_own_vectors(inputs, bundle, tmp_path):
    folder = tmp_path / "gate"
    folder.mkdir()
    (folder / "gate.tflite").write_bytes(tone_model((SILENCE, UNKNOWN, "yes"), FRONT_END, FRAMES))
    operators = [
        {"name": "SOFTMAX", "version": 2, "count": 1},
        {"name": "MUL", "version": 1, "count": 2},
    ]
    write_json(folder / "lineage.json", {"component": "GateTrainer", "cache_key": "g" * 64})
    write_json(folder / "gate.json", {"opens_at": None})
    assert pack(inputs | {"gate": folder}, tmp_path / "off").read_bytes() == (
        pack(inputs, tmp_path / "none").read_bytes()
    )

    write_json(folder / "gate.json", {"opens_at": 0.25, "macs": 48, "operators": operators})
    evaluation = tmp_path / "evaluation"
    shutil.copytree(inputs["evaluation"], evaluation)
    spared = {
        "windows": 9,
        "classified": 3,
        "gate_macs": 48,
        "classifier_macs": 400,
        "saved": 0.5467,
    }
    figures = {
        "opens_at": 0.25, "opened": {"yes": 0.99, "_silence_": 0.01}, "accuracy_without": 0.875,
        "other_sound": spared, "words_and_pauses": spared,
    }  # fmt: skip
    content = read_json(evaluation / "evaluation.json")
    write_json(evaluation / "evaluation.json", content | {"gate": figures})
    changed = inputs | {"gate": folder, "evaluation": evaluation}
    gated = archive.read(pack(changed, tmp_path / "on"))
    manifest, plain = gated.manifest, bundle.manifest
    assert (manifest.schema_version, plain.schema_version) == ("1.6", "1.6")
    assert [(s.name, s.gated_by) for s in manifest.stages] == [
        ("gate", None),
        ("classifier", "gate"),
    ]
    assert (manifest.stages[0].gate.opens_at, manifest.stages[0].gate.macs) == (0.25, 48)
    assert manifest.lineage != plain.lineage
    counts = {o.name: o.count for o in manifest.operators}
    assert counts == {o.name: o.count for o in plain.operators} | {
        "MUL": 2, "SOFTMAX": 1 + sum(o.count for o in plain.operators if o.name == "SOFTMAX"),
    }  # fmt: skip
    assert selftest.run(gated).vectors == 8
    assert KeywordClassifier(manifest, gated.files).gate is not None
    card = gated.files["model_card.md"].decode()
    assert "the classifier alone reaches 87.5% on the test list" in card
    assert "saves 54.7% of the multiply-accumulates on other words" in card


def test_an_early_exit_comes_beside_the_whole_network(inputs, tmp_path):
    changed = {name: tmp_path / name for name in ("model", "device_model", "evaluation")}
    for name, folder in changed.items():
        shutil.copytree(inputs[name], folder)
    for name in ("model", "device_model"):
        (changed[name] / "model.tflite").write_bytes(strided_tone_model(LABELS, FRONT_END, FRAMES))
    folder = tmp_path / "exit"
    folder.mkdir()
    write_json(folder / "lineage.json", {"component": "EarlyExit", "cache_key": "e" * 64})
    write_json(folder / "early_exit.json", {"early_exit": None})
    plain = pack(inputs | changed, tmp_path / "none").read_bytes()
    assert pack(inputs | changed | {"early_exit": folder}, tmp_path / "off").read_bytes() == plain

    early_exit.execute(inputs | changed, {"early_exit": folder}, EarlyExitParameters(spend=0.5))
    spared = {"saved": 0.25}
    figures = {
        "leaves_at": 0.75, "left": {"yes": 0.1, "_silence_": 0.9}, "accuracy_without": 0.875,
        "other_sound": spared, "words_and_pauses": spared,
    }  # fmt: skip
    content = read_json(inputs["evaluation"] / "evaluation.json")
    write_json(changed["evaluation"] / "evaluation.json", content | {"early_exit": figures})
    packed = archive.read(pack(inputs | changed | {"early_exit": folder}, tmp_path / "on"))
    manifest = packed.manifest
    assert manifest.schema_version == "1.9"
    assert (manifest.early_exit.trunk, manifest.early_exit.rest) == ("trunk.tflite", "rest.tflite")
    assert {o.name for o in manifest.operators} >= {"MEAN", "SOFTMAX"}
    assert selftest.run(packed).vectors == 8
    assert KeywordClassifier(manifest, packed.files).early_exit is not None
    card = packed.files["model_card.md"].decode()
    assert "without it the network reaches 87.5% on the test list" in card
    assert "saves 25.0% of the multiply-accumulates on other words" in card


def test_the_self_test_lets_an_exit_differ_twice_as_much_as_it_does_here(
    inputs, tmp_path, monkeypatch
):
    changed = {name: tmp_path / name for name in ("model", "device_model")}
    for name, folder in changed.items():
        shutil.copytree(inputs[name], folder)
        (folder / "model.tflite").write_bytes(strided_tone_model(LABELS, FRONT_END, FRAMES))
    folder = tmp_path / "exit"
    folder.mkdir()
    write_json(folder / "lineage.json", {"component": "EarlyExit", "cache_key": "e" * 64})
    early_exit.execute(inputs | changed, {"early_exit": folder}, EarlyExitParameters(spend=0.5))
    exit_ = (folder / "exit.tflite").read_bytes()

    def further_off(model, codes):
        found = reference_outputs(model, codes)
        return np.where(found > 0, found - 20, found).astype(np.int8) if model == exit_ else found

    monkeypatch.setattr(packager, "reference_outputs", further_off)
    bundle = archive.read(pack(inputs | changed | {"early_exit": folder}, tmp_path / "on"))
    for runtime in ("litert", "tflite_runtime"):
        assert 40 <= bundle.manifest.golden.tolerance[runtime] <= 42
        assert selftest.run(bundle, runtime=runtime).max_lsb >= 20


def test_the_streaming_form_is_a_stage_with_state_that_answers_the_same(
    streaming, bundle, tmp_path
):
    packed = archive.read(pack(streaming, tmp_path / "s"))
    manifest, plain = packed.manifest, bundle.manifest
    (stage,) = manifest.stages
    assert (stage.mode, stage.frames, stage.window) == ("streaming", POLICY["hop_frames"], FRAMES)
    assert stage.state == (("state_0", "next_state_0"),)
    assert {"CONCATENATION", "STRIDED_SLICE"} <= {o.name for o in manifest.operators}
    assert packed.files[manifest.golden.outputs] == bundle.files[plain.golden.outputs]
    assert selftest.run(packed).vectors == 8
    card = packed.files["model_card.md"].decode()
    assert f"takes 2 new frames, and what it must remember of the {FRAMES} that decide" in card
    assert "takes a whole window" in bundle.files["model_card.md"].decode()
    assert pack(streaming, tmp_path / "again").read_bytes() == (
        (tmp_path / "s" / "candidate.bundle").read_bytes()
    )


def test_frames_that_strides_leave_out_are_not_asked_of_the_device(inputs, tmp_path):
    own = {name: tmp_path / name for name in ("model", "device_model")}
    shutil.copytree(inputs["model"], own["model"])
    model = strided_tone_model(LABELS, FRONT_END, FRAMES)
    (own["model"] / "model.tflite").write_bytes(model)
    own["device_model"].mkdir()
    streamer.execute(
        inputs | own, {"model": own["device_model"]}, StreamerParameters(form="streaming")
    )
    packed = archive.read(pack(inputs | own, tmp_path / "b"))
    (stage,), manifest = packed.manifest.stages, packed.manifest
    assert stage.window == FRAMES - 1
    for name in (manifest.golden.inputs, manifest.check_set.codes):
        assert packed.array(name).shape[1:] == (stage.window, FRONT_END.channels)
    assert selftest.run(packed).vectors == 8


@pytest.mark.parametrize("form", ["sliding_window", "streaming"])
def test_the_last_layer_apart_decides_as_the_model(inputs, streaming, tmp_path, form):
    given = {"sliding_window": inputs, "streaming": streaming}[form]
    packed = archive.read(pack(given, tmp_path / "b"))
    manifest = packed.manifest
    head = shipped_head(manifest, manifest.adaptation, packed.files)
    model = KeywordClassifier(manifest, packed.files)
    apart = KeywordClassifier(manifest, packed.files, head=head)
    for window in packed.array(manifest.check_set.codes).astype(np.int8):
        assert apart.probabilities(window) == pytest.approx(model.probabilities(window), abs=0.1)
    assert packed.array(manifest.adaptation.replay).shape == (24 * len(LABELS), FRONT_END.channels)


def test_learning_on_the_device_can_be_left_out(inputs, tmp_path):
    packed = archive.read(pack(inputs, tmp_path / "b", replay_clips=0))
    assert packed.manifest.adaptation is None
    assert packed.manifest.schema_version == "1.1"
    assert not [name for name in packed.files if name.startswith("head/")]


def test_a_model_without_a_dense_layer_at_its_end_has_none_to_learn(inputs):
    model = (inputs["model"] / "model.tflite").read_bytes()
    layer = last_layer(model)
    assert layer.weights.shape == (len(LABELS), FRONT_END.channels)
    assert last_layer(backbone(model, layer.embedding)) is None


def test_no_recording_is_in_the_bundle_and_no_speakers_name(bundle):
    assert not [name for name in bundle.files if name.endswith((".wav", ".pcm"))]
    assert b"speaker 0" not in b"".join(bundle.files.values())


@pytest.mark.parametrize("wrong", [{"golden_vectors": 0}, {"check_clips": 0}])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be 1 or more"):
        PackagerParameters(**wrong)
