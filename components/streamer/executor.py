"""Executor of the Streamer."""

from __future__ import annotations

import shutil

from components.artifacts import read_json, write_json
from components.base import Inputs, Metrics, Outputs, UserError, warn
from components.converter.description import describe
from components.converter.streaming import StreamingForm, streaming_form
from components.early_exit.trained import read_early_exit
from components.gate_trainer.trained import read_gate
from components.streamer.component import StreamerParameters
from components.streamer.made import write_streaming


def execute(inputs: Inputs, outputs: Outputs, parameters: StreamerParameters) -> Metrics:
    """Writes an Int8Model: the streaming form, or the model as it is."""
    source, target = inputs["model"], outputs["model"]
    form = _form(inputs, parameters)
    if form is None:
        for name in ("model.tflite", "conversion.json"):
            shutil.copyfile(source / name, target / name)
    else:
        write_streaming(target / "model.tflite", form)
        write_json(target / "conversion.json", describe(form.model))
    conversion = read_json(target / "conversion.json")
    return {
        "streaming": float(form is not None),
        **{key: float(conversion[key]) for key in ("bytes", "download_bytes", "macs")},
    }


def _form(inputs: Inputs, parameters: StreamerParameters) -> StreamingForm | None:
    """The streaming form; None where each window is to be computed anew."""
    if parameters.form == "sliding_window":
        return None
    hop = read_json(inputs["evaluation"] / "evaluation.json")["policy"]["hop_frames"]
    try:
        if read_gate(inputs.get("gate")) is not None:
            raise UserError("the gate leaves windows out, and a streaming network must see each")
        if read_early_exit(inputs.get("early_exit")) is not None:
            raise UserError("what leaves early is not seen by the rest, which must see each window")
        return streaming_form((inputs["model"] / "model.tflite").read_bytes(), hop)
    except UserError as e:
        if parameters.form == "streaming":
            raise UserError(
                f"Streamer.form=streaming, Evaluator.hop_frames={hop}: {e}; or set "
                "Streamer.form=sliding_window"
            ) from e
        warn(f"the device computes each window anew, for the model cannot stream: {e}")
        return None
