"""A network with an exit in its middle: who leaves by it, who goes on, and what that spares."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from edge_agent import selftest
from edge_agent.__main__ import main
from edge_agent.bundle.archive import Bundle, pack, unpack
from edge_agent.bundle.manifest import ManifestError, decode_manifest, encode_manifest
from edge_agent.command_line import parse
from edge_agent.features.audio import clip_codes
from edge_agent.keyword.classifier import ClassifierError, KeywordClassifier
from edge_agent.keyword.early_exit import Leaving
from edge_agent.keyword.evaluation import evaluate
from tests.fixtures.bundles import LABELS, MODEL, bundle_parts, npy_bytes
from tests.fixtures.early_exit_bundles import (
    EXIT,
    EXIT_MACS,
    OUTPUTS,
    REST,
    REST_MACS,
    TRUNK_MACS,
    early_exit_parts,
)
from tests.fixtures.speech import make_recordings, utterance, wav_bytes

MANIFEST, FILES = early_exit_parts()
PLAIN = dataclasses.replace(MANIFEST, early_exit=None)
BUNDLE = unpack(pack(encode_manifest(MANIFEST), FILES))


def codes_of(label: str):
    return clip_codes(utterance(label, LABELS, seed=5), MANIFEST.features)


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_who_is_sure_leaves_and_for_the_others_the_whole_network_decides(runtime):
    whole = KeywordClassifier(PLAIN, FILES, runtime=runtime)
    for leaves_at, left in [(0.0, True), (1.0, False)]:
        classifier = KeywordClassifier(*early_exit_parts(leaves_at=leaves_at), runtime=runtime)
        for number, label in enumerate(LABELS, start=1):
            found = classifier.probabilities(codes_of(label))
            assert LABELS[found.argmax()] == label
            same = np.array_equal(found, whole.probabilities(codes_of(label)))
            assert same is not left
            assert classifier.computation().went_on == (0 if left else number)


def test_an_answer_early_is_that_of_the_exit_from_its_threshold_on():
    codes = codes_of("_silence_")
    network = KeywordClassifier(*early_exit_parts(leaves_at=1.0)).early_exit
    early, late = network.answers(codes)
    sure = float(early.max())
    for leaves_at, answer in [(sure, early), (min(sure + 1 / 256, 1.0), late)]:
        classifier = KeywordClassifier(*early_exit_parts(leaves_at=leaves_at))
        np.testing.assert_array_equal(classifier.probabilities(codes), answer)


def test_what_it_spared_is_counted_in_multiply_accumulates():
    def spared(windows, went_on):
        return Leaving(
            windows=windows, went_on=went_on, trunk_macs=300, exit_macs=10, rest_macs=700
        ).saved

    assert spared(100, 20) == pytest.approx(1 - (0.31 + 0.2 * 0.7))
    assert spared(100, 100) == pytest.approx(-0.01)
    assert spared(0, 0) == 0.0


def test_evaluation_and_spotting_say_what_was_spared(tmp_path, capsys):
    found = evaluate(BUNDLE, make_recordings(tmp_path / "words", LABELS, clips=2)).as_json()
    assert found["accuracy"] == 1.0
    spared = found["computation"]
    assert spared["windows"] == 30
    assert 0 < spared["went_on"] < 30
    whole, early = TRUNK_MACS + REST_MACS, TRUNK_MACS + EXIT_MACS
    saved = 1 - (30 * early + spared["went_on"] * REST_MACS) / (30 * whole)
    assert spared["saved"] == pytest.approx(saved, abs=1e-4)

    path, sound = tmp_path / "b.bundle", tmp_path / "sound.wav"
    path.write_bytes(pack(encode_manifest(MANIFEST), FILES))
    words = ("_silence_", "yes", "_silence_", "stop", "_silence_")
    sound.write_bytes(wav_bytes(np.concatenate([utterance(w, LABELS) for w in words])))
    assert main(parse(["agent", "spot", "--bundle", str(path), str(sound), "--json"])) == 0
    *detections, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [d["label"] for d in detections] == ["yes", "stop"]
    assert 0 < last["computation"]["went_on"] < last["computation"]["windows"]
    assert main(parse(["agent", "spot", "--bundle", str(path), str(sound)])) == 0
    assert "windows left by it" in capsys.readouterr().out.splitlines()[-1]


def test_the_self_test_holds_both_ways_out_to_their_vectors():
    assert selftest.run(BUNDLE).vectors == len(LABELS)
    for name in (OUTPUTS, "golden_outputs.npy"):
        files = FILES | {name: npy_bytes(np.zeros((len(LABELS), len(LABELS)), np.int8))}
        with pytest.raises(selftest.SelfTestError, match="differs from the golden outputs"):
            selftest.run(Bundle(MANIFEST, "", files))


def test_the_self_test_runs_the_end_too_where_both_ways_out_name_one_file():
    early = dataclasses.replace(MANIFEST.early_exit, exit=REST, rest=EXIT)
    one_file = dataclasses.replace(early, golden_outputs=MANIFEST.golden.outputs)
    with pytest.raises(selftest.SelfTestError, match="differs from the golden outputs"):
        selftest.run(Bundle(dataclasses.replace(MANIFEST, early_exit=one_file), "", FILES))


def test_an_older_agent_which_knows_nothing_of_it_runs_the_whole_network():
    content = json.loads(encode_manifest(MANIFEST))
    del content["early_exit"]
    older = KeywordClassifier(decode_manifest(json.dumps(content).encode()), FILES)
    assert older.early_exit is None
    assert LABELS[older.classify(utterance("yes", LABELS)).argmax()] == "yes"
    assert b"early_exit" not in encode_manifest(bundle_parts()[0])
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


WRONG = {
    "leaves_at must be 0 to 1": lambda stated: stated.update(leaves_at=1.5),
    "must be 0 or more": lambda stated: stated.update(rest_macs=-1),
    "not listed in files": lambda stated: stated.update(trunk="none.tflite"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_manifest_with_a_wrong_early_exit_is_refused(message):
    content = json.loads(encode_manifest(MANIFEST))
    WRONG[message](content["early_exit"])
    with pytest.raises(ManifestError, match=message):
        decode_manifest(json.dumps(content).encode())


def test_an_early_exit_of_a_stage_that_streams_or_is_gated_is_refused():
    content = json.loads(encode_manifest(MANIFEST))
    content["stages"][0] |= {"mode": "streaming", "window": 49}
    with pytest.raises(ManifestError, match="one sliding_window stage, and no gate"):
        decode_manifest(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("file", "by", "said"),
    [
        (EXIT, MODEL, "exit.tflite: takes .* and is given"),
        (REST, MODEL, "rest.tflite: takes .* and is given"),
        ("trunk.tflite", REST, "trunk.tflite: takes"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(file, by, said):
    with pytest.raises(ClassifierError, match=said):
        KeywordClassifier(MANIFEST, FILES | {file: FILES[by]})
