"""Words in a continuous recording: found where they were said, in pieces of any size."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bundle.archive import Bundle
from edge_agent.features.audio import AudioFeatures
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.spotting import Spotter, spot
from tests.fixtures.bundles import LABELS, bundle_parts
from tests.fixtures.speech import utterance

SAID = ("yes", "_silence_", "no", "_silence_", "_unknown_", "_silence_", "stop", "yes")
MICRO = AudioFeatures(front_end="micro", stride_ms=10)


def recording(said=SAID, rate=16_000):
    return np.concatenate(
        [utterance(label, LABELS, seed=i, rate=rate) for i, label in enumerate(said)]
    )


def bundle(**options) -> Bundle:
    manifest, files = bundle_parts(**options)
    return Bundle(manifest, "", files)


def blocks(pcm, size):
    samples = (pcm.astype(np.float32) / 32768.0)[:, None]
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def check(found, said=SAID):
    """Each word once, in order, at a time within the second in which it was said."""
    words = [(i, label) for i, label in enumerate(said) if not label.startswith("_")]
    assert [d.label for d in found] == [label for _, label in words]
    for detection, (second, _) in zip(found, words, strict=True):
        assert second <= detection.time_s <= second + 1
        assert 0.6 <= detection.score <= 1.0


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_finds_each_word_once_where_it_was_said(runtime):
    check(list(spot(bundle(), 16_000, blocks(recording(), 1_600), runtime=runtime)))


def test_finds_them_with_the_adapting_front_end_too():
    manifest, files = bundle_parts(features=MICRO, frames=98)
    # It takes a steady tone for noise and turns it down, so the stand-in words come out faint.
    policy = dataclasses.replace(manifest.policy, thresholds={"yes": 0.01, "no": 0.01})
    made = Bundle(dataclasses.replace(manifest, policy=policy), "", files)
    said = ("_silence_", "yes", "_silence_", "no", "_silence_")
    found = list(spot(made, 16_000, blocks(recording(said), 1_600)))
    assert [(d.label, int(d.time_s)) for d in found] == [("yes", 1), ("no", 3)]


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_finds_them_at_any_rate(rate):
    said = ("yes", "_silence_", "no", "_silence_", "stop")
    found = list(spot(bundle(), rate, blocks(recording(said, rate), rate // 3)))
    check(found, said)


def test_a_word_alone_in_the_shortest_recording_is_found():
    (found,) = spot(bundle(), 16_000, blocks(utterance("stop", LABELS)[3_000:13_000], 10_000))
    assert found.label == "stop"
    assert 0.0 <= found.time_s <= 10_000 / 16_000


@pytest.mark.parametrize("label", ["_silence_", "_unknown_"])
def test_nothing_is_found_where_nothing_was_said(label):
    assert not list(spot(bundle(), 16_000, blocks(recording([label] * 5), 1_600)))


@pytest.mark.parametrize("samples", [0, 1, 400])
def test_almost_nothing_is_no_error(samples):
    assert not list(spot(bundle(), 16_000, blocks(np.zeros(samples, np.int16), 100)))


@settings(max_examples=15)
@given(st.lists(st.integers(0, 48_000), max_size=20))
def test_pieces_of_any_size_give_the_same_detections(cuts):
    pcm = recording(("yes", "_silence_", "no"))
    manifest, files = bundle_parts()
    classifier = KeywordClassifier(manifest, files)

    def run(places):
        spotter = Spotter(classifier)
        pieces = [spotter.process(pcm[a:b]) for a, b in itertools.pairwise(places)]
        return [d.label for piece in pieces for d in piece] + [d.label for d in spotter.finish()]

    assert run([0, *sorted(cuts), len(pcm)]) == run([0, len(pcm)]) == ["yes", "no"]


def test_a_detection_comes_while_the_stream_goes_on():
    manifest, files = bundle_parts()
    spotter = Spotter(KeywordClassifier(manifest, files))
    pcm = recording(("yes", "_silence_", "_silence_"))
    heard = 0
    for start in range(0, len(pcm), 1_600):
        heard += 1_600
        if spotter.process(pcm[start : start + 1_600]):
            break
    assert heard <= 1.3 * 16_000


def test_nothing_counts_before_the_warm_up():
    made = bundle()
    manifest = dataclasses.replace(made.manifest, warm_up_frames=2 * 50 + 24)
    found = list(spot(Bundle(manifest, "", made.files), 16_000, blocks(recording(), 1_600)))
    assert [d.label for d in found] == ["no", "stop", "yes"]


def test_memory_stays_flat_however_long_the_stream():
    manifest, files = bundle_parts()
    spotter = Spotter(KeywordClassifier(manifest, files))
    held = []
    for _ in range(50):
        spotter.process(np.zeros(16_000, np.int16))
        held.append(spotter._ring.nbytes)
    assert max(held) <= 2 * 49 * 40
    assert spotter._ring.base is None
