"""The gate: its labels, its threshold, and what it does once it is trained, converted and packed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import read_json
from components.gate_trainer.component import GateTrainerParameters
from components.gate_trainer.executor import execute
from components.gate_trainer.rows import GateFeatures, opening_threshold
from components.gate_trainer.trained import read_gate
from edge_agent.bundle.manifest import DetectionPolicy
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import FRAMES, LABELS, MARGIN, write_features

POLICY = DetectionPolicy(
    hop_frames=1, smoothing=3, thresholds={}, refractory_ms=0, clip_hops=(-1, 0, 1)
)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_the_threshold_keeps_its_share_and_no_higher_one_would(probability, kept):
    values = np.array(probability, np.float32)
    threshold = opening_threshold(values, kept)
    assert np.mean(values >= threshold) >= kept - 1e-9
    higher = values[values > threshold]
    assert not len(higher) or np.mean(values >= higher.min()) < kept + 1e-9 + 1 / len(values)


@pytest.mark.parametrize(
    ("kept", "threshold"), [(1.0, 0.1), (0.91, 0.1), (0.9, 0.2), (0.5, 0.6), (0.05, 1.0)]
)
def test_what_may_be_missed_is_missed(kept, threshold):
    assert opening_threshold(np.arange(1, 11) / 10, kept) == pytest.approx(threshold)


def test_all_keywords_are_one_label_and_rows_are_seen_early_and_late(tmp_path):
    features = write_features(tmp_path)
    gate = GateFeatures.of(features)
    assert gate.labels == ("_silence_", "_unknown_", "any keyword")
    before, after = features.split("val"), gate.split("val")
    assert {(LABELS[b], gate.labels[a]) for b, a in zip(before.label, after.label, strict=True)} == {
        ("_silence_", "_silence_"), ("_unknown_", "_unknown_"),
        ("no", "any keyword"), ("yes", "any keyword"),
    }  # fmt: skip
    shifted = gate.shifted(np.asarray(after.codes))
    rows = len(after.label)
    assert shifted.shape[:2] == (3 * rows, FRAMES)
    np.testing.assert_array_equal(shifted[-1], after.codes[-1, 2 * MARGIN :])


def test_without_widths_there_is_none_and_nothing_of_the_features_is_read(tmp_path):
    (tmp_path / "gate").mkdir()
    assert (
        execute({"features": tmp_path}, {"gate": tmp_path / "gate"}, GateTrainerParameters()) == {}
    )
    assert [path.name for path in (tmp_path / "gate").iterdir()] == ["gate.json"]
    assert read_gate(tmp_path / "gate") is None
    assert read_gate(None) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"widths": (8, 0)}, "positive numbers .*or none"),
        ({"kept": 0.0}, "above 0"),
        ({"architecture": "vgg"}, "take one of bc_resnet"),
        ({"calibration_rows": 0}, "1 to 100000"),
    ],
)
def test_parameters_out_of_range_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        GateTrainerParameters(**values)


@pytest.mark.slow
@with_tensorflow
def test_it_learns_to_open_for_keywords_and_spares_the_classifier_the_rest(tmp_path: Path):
    from components.evaluator.gated import GatedScorer, gate_figures
    from components.targets.flatbuffer import read_graph

    features = write_features(tmp_path / "features")
    (tmp_path / "gate").mkdir()
    parameters = GateTrainerParameters(
        widths=(8,), kept=0.95, epochs=2, examples_per_epoch=1600, learning_rate=0.01, ema=0.9,
        mask_share=0.0, mixup=0.0, warp=0.0, warp_shift=0.0, threads=THREADS,
    )  # fmt: skip
    execute({"features": tmp_path / "features"}, {"gate": tmp_path / "gate"}, parameters)
    content = read_json(tmp_path / "gate" / "gate.json")
    assert read_graph(tmp_path / "gate" / "gate.tflite").float_tensors == ()
    assert content["opened"]["val"]["any keyword"] >= 0.95
    for split in ("val", "test"):
        assert content["opened"][split]["_silence_"] <= 0.2
        assert content["opened"][split]["_unknown_"] <= 0.2

    gate = read_gate(tmp_path / "gate")
    assert gate is not None
    asked = []

    def classifier(windows):
        asked.append(len(windows))
        return np.tile(np.float32([0.0, 0.0, 0.0, 1.0]), (len(windows), 1))

    scorer = GatedScorer(gate, LABELS, classifier)
    test = features.split("test")
    windows = features.centred(np.asarray(test.codes))
    found, opened = scorer(windows), scorer.opened(windows)[:, 0].astype(bool)
    assert asked == [opened.sum()]
    assert (found[opened].argmax(1) == 3).all()
    assert (found[~opened, 2:] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1.0, atol=0.02)

    figures = gate_figures(scorer, gate, features, POLICY, classifier_macs=100 * gate.macs)
    assert figures["opened"]["yes"] > 0.8 > 0.2 >= figures["opened"]["_silence_"]
    other, words = figures["other_sound"], figures["words_and_pauses"]
    assert words["windows"] > words["classified"] > 0
    spent = words["windows"] + 100 * words["classified"]
    assert words["saved"] == pytest.approx(1 - spent / (100 * words["windows"]), abs=1e-4)
    assert other["saved"] > words["saved"]
