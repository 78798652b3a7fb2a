"""The Streamer: the form in which a device runs a model, and why it is not another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.artifacts import read_json, write_json
from components.base import UserError
from components.converter.description import describe
from components.infra_validator.measure import Measured, measure
from components.streamer.component import StreamerParameters
from components.streamer.executor import execute
from components.streamer.made import read_streaming
from tests.fixtures.features import FRAMES, FRONT_END, LABELS, MARGIN, write_features
from tests.fixtures.models import strided_tone_model, tone_model


@pytest.fixture
def inputs(tmp_path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("model", "evaluation", "gate")}
    for folder in found.values():
        folder.mkdir()
    model = tone_model(LABELS, FRONT_END, FRAMES)
    (found["model"] / "model.tflite").write_bytes(model)
    write_json(found["model"] / "conversion.json", describe(model))
    write_json(found["evaluation"] / "evaluation.json", {"policy": {"hop_frames": 2}})
    write_json(found["gate"] / "gate.json", {"opens_at": None})
    return found


def streamed(inputs: dict[str, Path], folder: Path, **parameters: str) -> dict[str, float]:
    folder.mkdir()
    return execute(inputs, {"model": folder}, StreamerParameters(**parameters))


def test_what_can_stream_streams_and_is_described_as_it_ships(inputs, tmp_path):
    metrics = streamed(inputs, tmp_path / "made")
    form = read_streaming(tmp_path / "made" / "model.tflite")
    assert (form.frames, form.window, len(form.state)) == (2, FRAMES, 1)
    told = read_json(tmp_path / "made" / "conversion.json")
    assert told["bytes"] == len(form.model) == metrics["bytes"]
    assert {"CONCATENATION", "STRIDED_SLICE"} <= {o["name"] for o in told["operators"]}
    assert metrics["streaming"] == 1


def test_a_sliding_window_is_the_model_as_it_is(inputs, tmp_path):
    streamed(inputs, tmp_path / "made", form="sliding_window")
    for name in ("model.tflite", "conversion.json"):
        assert (tmp_path / "made" / name).read_bytes() == (inputs["model"] / name).read_bytes()
    assert read_streaming(tmp_path / "made" / "model.tflite") is None


@pytest.mark.parametrize(
    ("hop", "opens_at", "said"),
    [(FRAMES + 1, None, "use shorter steps"), (2, 0.5, "the gate leaves windows out")],
)
def test_what_cannot_stream_slides_and_says_why(inputs, tmp_path, capsys, hop, opens_at, said):
    write_json(inputs["evaluation"] / "evaluation.json", {"policy": {"hop_frames": hop}})
    gate = {"opens_at": opens_at, "macs": 1, "operators": []}
    write_json(inputs["gate"] / "gate.json", gate)
    assert streamed(inputs, tmp_path / "made")["streaming"] == 0
    assert said in capsys.readouterr().err
    assert read_streaming(tmp_path / "made" / "model.tflite") is None
    with pytest.raises(UserError, match=rf"{said}.*set Streamer.form=sliding_window"):
        streamed(inputs, tmp_path / "none", form="streaming")


@pytest.mark.parametrize("made", [tone_model, strided_tone_model])
@pytest.mark.parametrize("runtime", ["tflm", "litert"])
def test_every_runtime_is_fed_in_steps_and_gives_what_whole_windows_give(
    inputs, tmp_path, runtime, made
):
    model = made(LABELS, FRONT_END, FRAMES)
    (inputs["model"] / "model.tflite").write_bytes(model)
    streamed(inputs, tmp_path / "made")
    val = write_features(tmp_path / "features").split("val")
    codes = np.asarray(val.codes)[:, MARGIN : MARGIN + FRAMES]
    found = measure(runtime, tmp_path / "made" / "model.tflite", codes, 1)
    wanted = measure("reference", inputs["model"] / "model.tflite", codes, 1)
    assert isinstance(found, Measured)
    assert isinstance(wanted, Measured)
    assert abs(found.outputs.astype(int) - wanted.outputs).max() <= 1
    assert (found.arena_bytes is None) == (runtime != "tflm")
