"""Clips to probabilities, on a real int8 model; and models that do not fit their manifest."""

import dataclasses

import numpy as np
import pytest

from edge_agent.bundle.manifest import DetectionPolicy, Stage
from edge_agent.classification import ClassifierError
from edge_agent.features.audio import AudioFeatures, clip_codes
from edge_agent.keyword.classifier import (
    KeywordClassifier,
    clip_codes_with_margin,
    clip_samples,
    clip_windows,
)
from edge_agent.runtime import RuntimeModelError
from tests.fixtures.bundles import LABELS, MODEL, bundle_parts
from tests.fixtures.models import tone_model
from tests.fixtures.speech import utterance

MICRO = AudioFeatures(front_end="micro", stride_ms=10)
POLICY = DetectionPolicy(
    hop_frames=3, smoothing=3, thresholds={}, refractory_ms=0, clip_hops=(-2, 0, 1)
)


@pytest.mark.parametrize(("features", "frames"), [(AudioFeatures(), 49), (MICRO, 98)])
@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_hears_every_word_with_either_front_end_and_runtime(features, frames, runtime):
    manifest, files = bundle_parts(features=features, frames=frames)
    classifier = KeywordClassifier(manifest, files, runtime=runtime)
    for place, label in enumerate(LABELS):
        probabilities = classifier.classify(utterance(label, LABELS, seed=77))
        assert probabilities.dtype == np.float32
        assert probabilities.argmax() == place
        assert probabilities.sum() == pytest.approx(1.0, abs=0.05)


def test_a_clip_of_any_length_is_judged_by_its_middle():
    classifier = KeywordClassifier(*bundle_parts())
    clip = utterance("yes", LABELS)
    around = utterance("no", LABELS)[4_000:12_000]
    long = np.concatenate([around, clip, around])
    np.testing.assert_array_equal(classifier.classify(long), classifier.classify(clip))
    assert LABELS[classifier.classify(clip[2_000:14_000]).argmax()] == "yes"
    assert LABELS[classifier.classify(clip[:0]).argmax()] == "_silence_"


@pytest.mark.parametrize(
    ("features", "frames", "samples"),
    [
        (AudioFeatures(), 49, 16_000),
        (MICRO, 98, 16_000),
        (AudioFeatures(sample_rate=8_000, high_hz=3_800.0), 49, 8_000),
        (AudioFeatures(), 74, 24_000),
        (AudioFeatures(window_ms=40), 49, 16_000),
    ],
)
def test_a_clip_has_the_length_that_gives_its_frames(features, frames, samples):
    assert clip_samples(features, frames) == samples
    assert features.frames_in(samples) == frames


def test_the_margin_is_silence_and_the_clip_lies_in_its_middle():
    features = AudioFeatures()
    pcm = utterance("yes", LABELS)
    codes = clip_codes_with_margin(pcm, features, 10)
    assert codes.shape == (10 + 49 + 10, 40)
    np.testing.assert_array_equal(codes[10:-10], clip_codes(pcm, features))
    assert (codes[:9] == -128).all()
    np.testing.assert_array_equal(clip_codes_with_margin(pcm, features, 0), codes[10:-10])


def test_windows_stand_at_the_policy_s_hops_also_of_a_batch():
    codes = np.arange(2 * 25 * 4).reshape(2, 25, 4).astype(np.int8)
    windows = clip_windows(codes, 11, POLICY)
    assert windows.shape == (2, 3, 11, 4)
    for place, start in enumerate((1, 7, 10)):
        np.testing.assert_array_equal(windows[:, place], codes[:, start : start + 11])
    with pytest.raises(ValueError, match="margin of 5; 6 are needed"):
        clip_windows(codes[:, :21], 11, POLICY)


def test_a_clip_s_probabilities_are_the_mean_over_its_windows():
    manifest, files = bundle_parts()
    classifier = KeywordClassifier(manifest, files)
    codes = clip_codes_with_margin(np.roll(utterance("stop", LABELS), 2_000), manifest.features, 4)
    windows = [codes[4 + 3 * hop :][:49] for hop in manifest.policy.clip_hops]
    expected = np.mean([classifier.probabilities(w) for w in windows], axis=0)
    np.testing.assert_allclose(classifier.clip_probabilities(codes), expected, rtol=1e-6)


def refused(message: str, *, files=None, error=ClassifierError, **changes) -> None:
    manifest, own = bundle_parts()
    with pytest.raises(error, match=message):
        KeywordClassifier(dataclasses.replace(manifest, **changes), files or own)


def test_models_that_do_not_fit_the_manifest_are_refused():
    other = {MODEL: tone_model((*LABELS, "go"), AudioFeatures(), 49)}
    refused("there are 5 labels", files=other)
    stage = Stage(name="keyword", model=MODEL, mode="sliding_window", frames=48)
    refused(r"the manifest says \(1, 48, 40, 1\)", stages=(stage,))
    refused("model.tflite: the model is not a whole", files={MODEL: b"x"}, error=RuntimeModelError)


def test_stages_that_this_agent_does_not_run_are_refused():
    streaming = Stage(name="s", model=MODEL, mode="streaming", frames=3)
    window = Stage(name="w", model=MODEL, mode="sliding_window", frames=49)
    refused("update the agent", stages=(streaming,))
    refused("update the agent", stages=(window, window))
    refused("update the agent", stages=(dataclasses.replace(window, state=(("a", "b"),)),))


def test_scales_other_than_the_features_and_probabilities_are_refused(monkeypatch):
    import edge_agent.classification as module

    opened = module.open_model

    def rescaled(**tensors):
        def open_model(*arguments, **options):
            model = opened(*arguments, **options)
            for name, changes in tensors.items():
                setattr(model, name, dataclasses.replace(getattr(model, name), **changes))
            return model

        monkeypatch.setattr(module, "open_model", open_model)

    rescaled(input={"scale": 1 / 16})
    refused("its input has scale 0.0625")
    rescaled(input={"zero_point": -128})
    refused("zero point -128")
    rescaled(output={"zero_point": 0})
    refused("not probabilities")


def test_a_bundle_for_a_newer_agent_or_runtime_says_what_to_update():
    refused("needs agent 99.0 or newer.*update agent", minimum={"agent": "99.0"})
    refused("needs litert 99", minimum={"litert": "99"})
    manifest, files = bundle_parts()
    fine = {"agent": "0.1", "litert": "1", "tflite_runtime": "99"}
    KeywordClassifier(dataclasses.replace(manifest, minimum=fine), files, runtime="litert")


def test_clip_hops_beyond_the_clip_are_refused():
    far = dataclasses.replace(POLICY, clip_hops=(-17, 0))
    refused("reach beyond the clip", policy=far)
