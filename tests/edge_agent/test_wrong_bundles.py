"""Bundles that are signed and wrong: refused with the reason, while the one before goes on.

One that always fires is met at work: `tests/edge_agent/test_probation.py`.
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.bundle.archive import describe_files, pack
from edge_agent.bundle.manifest import Budget, encode_manifest
from edge_agent.features.audio import INPUT_SCALE, AudioFeatures
from edge_agent.update.errors import RefusedError
from edge_agent.update.examination import examine
from tests.fixtures.bundles import LABELS, MODEL, bundle_parts, npy_bytes
from tests.fixtures.field import Field
from tests.fixtures.models import tone_model

NAN, INFINITE = float("nan"), float("inf")


def write(path: Path, files: dict[str, bytes], **changes: Any) -> Path:
    """A bundle with `files` among its own, and all sizes and digests right."""
    manifest, own = bundle_parts()
    own |= files
    made = dataclasses.replace(manifest, files=describe_files(own), **changes)
    path.write_bytes(pack(encode_manifest(made), own))
    return path


def rescaled(old: float, new: float) -> bytes:
    """The model with each scale `old` replaced."""
    model = bundle_parts()[1][MODEL]
    assert struct.pack("<f", old) in model
    return model.replace(struct.pack("<f", old), struct.pack("<f", new))


def wrong_shape(path: Path, **_: Any) -> Path:
    return write(path, {MODEL: tone_model(LABELS, AudioFeatures(), 48)})


def wrong_labels(path: Path, **_: Any) -> Path:
    return write(path, {MODEL: tone_model((*LABELS, "go"), AudioFeatures(), 49)})


def nan_scale(path: Path, **_: Any) -> Path:
    return write(path, {MODEL: rescaled(INPUT_SCALE, NAN)})


def a_hundred_times_slower(path: Path, **_: Any) -> Path:
    # The model is as it is, and was to take a hundredth of what it takes.
    return write(path, {}, budget=Budget(latency_ms=0.0005, memory_bytes=10**9))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (wrong_shape, r"takes \(1, 48, 40, 1\), and the manifest says \(1, 49, 40, 1\)"),
        (wrong_labels, r"gives \(1, 6\), and there are 5 labels"),
        (a_hundred_times_slower, "ms here, and its budget is 0.0005 ms"),
    ],
)
def test_the_reason_is_said(tmp_path, make, reason):
    with pytest.raises(RefusedError, match=reason):
        examine(make(tmp_path / "wrong.bundle"))


@pytest.mark.parametrize("scale", [NAN, INFINITE, 0.0, -1.0])
@pytest.mark.parametrize("tensor", [INPUT_SCALE, 1.0 / 256.0])
def test_a_scale_that_is_no_scale_is_refused(tmp_path, tensor, scale):
    path = write(tmp_path / "wrong.bundle", {MODEL: rescaled(tensor, scale)})
    with pytest.raises(RefusedError, match="does not pass its self-test here"):
        examine(path)


def test_golden_outputs_of_another_model_are_refused(tmp_path):
    other = npy_bytes(np.zeros((len(LABELS), len(LABELS)), np.int8))
    path = write(tmp_path / "wrong.bundle", {"golden_outputs.npy": other})
    with pytest.raises(RefusedError, match="differs from the golden outputs"):
        examine(path)


def test_the_device_goes_on_with_the_one_before(tmp_path):
    field = Field(tmp_path)
    field.publish(1)
    field.update()
    field.publish(2, make=nan_scale)
    told = field.update(code=1)
    assert (told["state"], told["to"]) == ("rolled back", "1.0.0")
    assert told["last_error"]
    assert field.status()["version"] == "1.0.0"
