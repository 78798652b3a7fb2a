"""A streaming bundle on the device: it hears what its whole-window form hears, and is checked as strictly."""

import dataclasses
import itertools

import numpy as np
import pytest

from edge_agent import selftest
from edge_agent.bundle import archive
from edge_agent.bundle.manifest import (
    ManifestError,
    decode_manifest,
    encode_manifest,
)
from edge_agent.classification import ClassifierError
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.spotting import spot
from edge_agent.runtime import RuntimeModelError
from edge_agent.update.errors import RefusedError
from edge_agent.update.examination import examine
from tests.fixtures.bundles import LABELS, bundle_parts
from tests.fixtures.speech import RATE, utterance
from tests.fixtures.streaming_bundles import streaming_parts

SAID = ("yes", "_silence_", "stop", "_unknown_", "no", "yes")


def packed(folder, parts):
    manifest, files = parts
    path = folder / "a.bundle"
    path.write_bytes(archive.pack(encode_manifest(manifest), files))
    return archive.read(path)


def heard(bundle, runtime):
    pcm = np.concatenate([utterance(label, LABELS, seed=7) for label in SAID])
    sound = (pcm / np.float32(32768)).astype(np.float32)
    blocks = (sound[at : at + 700, None] for at in range(0, len(sound), 700))
    return list(spot(bundle, RATE, blocks, runtime=runtime))


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_it_hears_what_the_whole_window_form_hears(tmp_path, runtime):
    bundle = packed(tmp_path, streaming_parts())
    found = heard(bundle, runtime)
    wanted = heard(packed(tmp_path, bundle_parts()), runtime)
    assert [d.label for d in found] == ["yes", "stop", "no", "yes"]
    assert [(d.label, d.time_s) for d in found] == [(d.label, d.time_s) for d in wanted]
    np.testing.assert_allclose([d.score for d in found], [d.score for d in wanted], atol=2 / 256)
    assert selftest.run(bundle, runtime=runtime).max_lsb <= 7


def test_a_clip_is_decided_as_by_the_whole_window_form():
    windows, streams = (
        KeywordClassifier(*parts, runtime="tflite_runtime")
        for parts in (bundle_parts(), streaming_parts())
    )
    for seed in range(4):
        for label in LABELS:
            clip = utterance(label, LABELS, seed=seed)
            np.testing.assert_allclose(windows.classify(clip), streams.classify(clip), atol=2 / 256)


def test_its_budget_is_held_against_a_step_and_not_a_window(tmp_path, monkeypatch):
    seconds = itertools.count()  # a self-test takes one, of 17 steps of 3 frames for each label
    monkeypatch.setattr("edge_agent.update.examination.time.perf_counter", lambda: next(seconds))

    def examined(latency_ms):
        manifest, files = streaming_parts()
        budget = dataclasses.replace(manifest.budget, latency_ms=latency_ms)
        packed(tmp_path, (dataclasses.replace(manifest, budget=budget), files))
        examine(tmp_path / "a.bundle")

    examined(12.0)
    with pytest.raises(RefusedError, match=r"one inference takes 11\.8 ms here"):
        examined(11.0)


def test_another_stream_begins_anew():
    classifier = KeywordClassifier(*streaming_parts(), runtime="tflite_runtime")
    random = np.random.default_rng(0)
    first, second = random.integers(-128, 128, (2, 52, 40)).astype(np.int8)

    def stream(codes):
        probabilities = classifier.consecutive()
        return [probabilities(codes[at : at + 49]) for at in (0, 3)]

    before = stream(first)
    stream(second)
    np.testing.assert_array_equal(stream(first), before)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"window": None}, ManifestError, "a streaming stage, and no other, has a window"),
        ({"window": 2}, ManifestError, "a streaming stage, and no other, has a window"),
        ({"mode": "sliding_window"}, ManifestError, "a streaming stage, and no other"),
        ({"state": (("a", "b", "c"),)}, ManifestError, "state pairs are"),
        ({"state": ()}, RuntimeModelError, "its state tensors are state_0"),
        ({"frames": 4}, ClassifierError, "a step of the model takes 4 frames"),
    ],
)
def test_a_stage_that_does_not_fit_is_refused(changes, error, words):
    manifest, files = streaming_parts(**changes)
    with pytest.raises(error, match=words):
        KeywordClassifier(decode_manifest(encode_manifest(manifest)), files)


def test_a_window_that_is_not_the_model_s_fails_the_self_test(tmp_path):
    with pytest.raises(selftest.SelfTestError, match="do not fit the model"):
        selftest.run(packed(tmp_path, streaming_parts(window=52)))
