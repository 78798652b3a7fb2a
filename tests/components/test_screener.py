"""The Screener: many decisions on validation clips, and the device's own on test clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.artifacts import read_json
from components.base import UserError
from components.evaluator.scoring import int8_scorer
from components.screener.component import ScreenerParameters
from components.screener.executor import execute
from components.streamer.component import StreamerParameters
from components.streamer.executor import execute as stream
from edge_agent.features.audio import AudioFeatures
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, MARGIN, write_features
from tests.fixtures.models import tone_model


@pytest.fixture
def artifacts(tmp_path: Path) -> dict[str, Path]:
    features = write_features(tmp_path / "features", views=2)
    (tmp_path / "model").mkdir()
    model = tone_model(LABELS, AudioFeatures(channels=CHANNELS), FRAMES)
    (tmp_path / "model" / "model.tflite").write_bytes(model)
    return {"features": features.folder, "model": tmp_path / "model"}


@pytest.mark.parametrize("smoothing", [1, 5])
def test_figures_are_those_of_the_decisions(artifacts, tmp_path: Path, smoothing: int):
    metrics = execute(
        artifacts, {"screening": tmp_path}, ScreenerParameters(hop_frames=1, smoothing=smoothing)
    )
    assert read_json(tmp_path / "evaluation.json") == {**metrics, "policy": {"hop_frames": 1}}
    score = int8_scorer((artifacts["model"] / "model.tflite").read_bytes())
    folder = artifacts["features"]
    codes = {s: np.load(folder / f"{s}.codes.npy") for s in ("val", "test")}
    index = {s: np.load(folder / f"{s}.index.npz") for s in ("val", "test")}
    said = score(codes["val"][:, MARGIN:-MARGIN]).argmax(1)
    assert metrics["val_accuracy"] == pytest.approx((said == index["val"]["label"]).mean())
    recorded = index["test"]["view"] == 0
    half = smoothing // 2
    mean = sum(
        score(codes["test"][recorded][:, MARGIN + hop : MARGIN + hop + FRAMES])
        for hop in range(-half, half + 1)
    )
    right = mean.argmax(1) == index["test"]["label"][recorded]
    assert metrics["test_accuracy"] == pytest.approx(right.mean())


def test_a_streamer_takes_its_step_from_it(artifacts, tmp_path: Path, monkeypatch):
    execute(artifacts, {"screening": tmp_path}, ScreenerParameters(hop_frames=6))
    steps = []

    def cannot(model: bytes, hop: int):
        steps.append(hop)
        raise UserError("it cannot stream")

    monkeypatch.setattr("components.streamer.executor.streaming_form", cannot)
    (artifacts["model"] / "conversion.json").write_text(
        '{"bytes": 1, "download_bytes": 2, "macs": 3}'
    )
    (tmp_path / "streamed").mkdir()
    figures = stream(
        {"model": artifacts["model"], "evaluation": tmp_path},
        {"model": tmp_path / "streamed"},
        StreamerParameters(),
    )
    assert steps == [6]
    assert figures == {"streaming": 0.0, "bytes": 1.0, "download_bytes": 2.0, "macs": 3.0}


def test_positions_beyond_the_margin_are_left_out(artifacts, tmp_path: Path):
    wide = ScreenerParameters(hop_frames=MARGIN + 1, smoothing=3)
    near = ScreenerParameters(hop_frames=1, smoothing=1)
    found = [execute(artifacts, {"screening": tmp_path}, p) for p in (wide, near)]
    assert found[0] == found[1]


def test_a_float_version_is_compared_decision_by_decision(artifacts, tmp_path: Path, monkeypatch):
    score = int8_scorer((artifacts["model"] / "model.tflite").read_bytes())

    def mostly(folder: Path):
        assert folder == tmp_path / "float"

        def meant(windows):
            said = score(windows)
            said[0] = np.roll(said[0], 1)  # one decision differs
            return said

        return meant

    monkeypatch.setattr("components.screener.executor.float_scorer", mostly)
    inputs = {**artifacts, "float_model": tmp_path / "float"}
    metrics = execute(inputs, {"screening": tmp_path}, ScreenerParameters(hop_frames=1))
    count = len(np.load(artifacts["features"] / "val.codes.npy"))
    assert metrics["agreement"] == pytest.approx(1 - 1 / count)
