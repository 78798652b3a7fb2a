"""A gate before the classifier: what it lets through, what it answers itself, and what that spares."""

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
from edge_agent.keyword.evaluation import evaluate
from edge_agent.keyword.gate import Computation
from tests.fixtures.bundles import GATE, LABELS, MODEL, bundle_parts, gated_parts, npy_bytes
from tests.fixtures.speech import make_recordings, utterance, wav_bytes

MANIFEST, FILES = gated_parts()
GATE_MACS, MACS = 3 * 40, 5 * 40


BUNDLE = unpack(pack(encode_manifest(MANIFEST), FILES))


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_where_it_opens_the_classifier_decides_and_elsewhere_the_gate(runtime):
    gated = KeywordClassifier(MANIFEST, FILES, runtime=runtime)
    alone = KeywordClassifier(*bundle_parts(), runtime=runtime)
    for label, said in {"yes": "yes", "_unknown_": "_unknown_", "_silence_": "_silence_"}.items():
        codes = clip_codes(utterance(label, LABELS, seed=5), MANIFEST.features)
        found = gated.probabilities(codes)
        assert LABELS[found.argmax()] == said
        assert found.sum() == pytest.approx(1.0, abs=0.02)
        assert np.array_equal(found, alone.probabilities(codes)) == (label == "yes")
    assert alone.computation() is None


def test_a_word_it_does_not_know_never_reaches_the_classifier():
    classifier = KeywordClassifier(MANIFEST, FILES)
    stop = classifier.probabilities(clip_codes(utterance("stop", LABELS), MANIFEST.features))
    assert LABELS[
        KeywordClassifier(*bundle_parts()).classify(utterance("stop", LABELS)).argmax()
    ] == ("stop")
    assert not stop[2:].any()
    spared = classifier.computation()
    assert (spared.windows, spared.classified) == (1, 0)


def test_it_opens_from_its_threshold_on():
    codes = clip_codes(utterance("stop", LABELS), MANIFEST.features)
    for opens_at, classified in [(0.0, 1), (1.0, 0)]:
        classifier = KeywordClassifier(*gated_parts(opens_at=opens_at))
        classifier.probabilities(codes)
        assert classifier.computation().classified == classified


def test_what_it_spared_is_counted_in_multiply_accumulates():
    def spared(windows, classified):
        return Computation(
            windows=windows, classified=classified, gate_macs=10, classifier_macs=1000
        ).saved

    assert spared(100, 10) == pytest.approx(0.89)
    assert spared(100, 100) == pytest.approx(-0.01)
    assert spared(0, 0) == 0.0


def test_evaluation_says_what_was_spared(tmp_path):
    found = evaluate(BUNDLE, make_recordings(tmp_path, LABELS, clips=2)).as_json()
    counts = np.array(found["confusion"]["counts"])
    place = [LABELS.index(label) for label in ("_silence_", "_unknown_", "yes")]
    assert (counts[place, place] == 2).all()
    spared = found["computation"]
    # Ten clips, three windows each; the gate opens for the two of "yes".
    assert (spared["windows"], spared["classified"]) == (30, 6)
    assert (spared["gate_macs"], spared["classifier_macs"]) == (GATE_MACS, MACS)
    assert spared["saved"] == pytest.approx(1 - (30 * GATE_MACS + 6 * MACS) / (30 * MACS))


def test_spotting_ends_with_what_was_spared(tmp_path, capsys):
    path, sound = tmp_path / "b.bundle", tmp_path / "sound.wav"
    path.write_bytes(pack(encode_manifest(MANIFEST), FILES))
    words = ("_silence_", "yes", "_silence_", "stop", "_silence_", "yes", "_silence_")
    sound.write_bytes(wav_bytes(np.concatenate([utterance(w, LABELS) for w in words])))
    assert main(parse(["agent", "spot", "--bundle", str(path), str(sound), "--json"])) == 0
    *detections, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [d["label"] for d in detections] == ["yes", "yes"]
    spared = last["computation"]
    # A window each 60 ms of 7 s; a word is seen by less than half of them.
    assert spared["windows"] == pytest.approx(7000 / 60, abs=2)
    assert 10 < spared["classified"] < spared["windows"] / 2
    assert main(parse(["agent", "spot", "--bundle", str(path), str(sound)])) == 0
    assert "of the multiply-accumulates saved" in capsys.readouterr().out.splitlines()[-1]


def test_the_self_test_holds_the_gate_to_its_vectors_too():
    assert selftest.run(BUNDLE).vectors == len(LABELS)
    files = FILES | {"gate_outputs.npy": npy_bytes(np.zeros((len(LABELS), 3), np.int8))}
    with pytest.raises(selftest.SelfTestError, match="differs from the golden outputs"):
        selftest.run(Bundle(MANIFEST, "", files))
    files = FILES | {"gate_outputs.npy": npy_bytes(np.zeros((len(LABELS), 5), np.int8))}
    with pytest.raises(selftest.SelfTestError, match=r"gate_outputs\.npy.*do not fit"):
        selftest.run(Bundle(MANIFEST, "", files))


def test_a_bundle_without_a_gate_says_nothing_of_one_and_a_gate_comes_back_as_it_was():
    plain, _ = bundle_parts()
    assert b'"gate"' not in encode_manifest(plain)
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


WRONG = {
    r"gate: opens_at must be 0 to 1": lambda gate, stage: gate["gate"].update(opens_at=1.5),
    r"macs 0 or more": lambda gate, stage: gate["gate"].update(macs=-1),
    "gate is no gate": lambda gate, stage: gate.update(gate=None),
    "not listed in files": lambda gate, stage: gate["gate"].update(golden_outputs="none.npy"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_manifest_with_a_wrong_gate_is_refused(message):
    content = json.loads(encode_manifest(MANIFEST))
    WRONG[message](*content["stages"])
    with pytest.raises(ManifestError, match=message):
        decode_manifest(json.dumps(content).encode())


def refused(message, *, files=FILES, **changes):
    with pytest.raises(ClassifierError, match=message):
        KeywordClassifier(dataclasses.replace(MANIFEST, **changes), files)


def test_forms_of_gating_that_this_agent_does_not_run_are_refused():
    gate, stage = MANIFEST.stages
    refused("update the agent", stages=(gate,))
    refused("update the agent", stages=(gate, dataclasses.replace(stage, gated_by=None)))
    refused("update the agent", stages=(gate, dataclasses.replace(gate, name="second"), stage))
    refused("gate sees 48 frames", stages=(dataclasses.replace(gate, frames=48), stage))
    refused("there are 3 labels", files=FILES | {GATE: FILES[MODEL]})
