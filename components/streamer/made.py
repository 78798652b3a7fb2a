"""The form in which the device runs a model, as the steps behind the Streamer read it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from components.artifacts import read_json, write_json
from components.converter.streaming import StreamingForm


def write_streaming(model: Path, form: StreamingForm) -> None:
    """Writes the file `model`, and how it is fed beside it."""
    model.write_bytes(form.model)
    fed = {field.name: getattr(form, field.name) for field in dataclasses.fields(form)}
    del fed["model"]
    write_json(_fed(model), fed)


def read_streaming(model: Path) -> StreamingForm | None:
    """The streaming form in the file `model`; None if it takes whole windows."""
    if not _fed(model).exists():
        return None
    fed = read_json(_fed(model))
    return StreamingForm(
        model=model.read_bytes(),
        state=tuple((before, after) for before, after in fed["state"]),
        frames=fed["frames"],
        window=fed["window"],
    )


def _fed(model: Path) -> Path:
    return model.with_suffix(".streaming.json")
