"""Keyword bundles of the pipeline's architecture and defaults, untrained: for what they cost alone.

``python -m tests.bench.untrained_bundle FOLDER`` writes ``sliding.bundle`` and ``streaming.bundle``.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_FRAMES = 49
_STEP_FRAMES = 2


def main(folder: Path) -> None:
    """Writes the bundles."""
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model.tflite"
        # TensorFlow and tflite-runtime do not live in one process.
        command = [sys.executable, "-m", "tests.bench.untrained_bundle", "--model", model]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        _pack(model.read_bytes(), folder)


def _convert(path: Path) -> None:
    import tf_keras as keras

    from components.converter.convert import to_int8
    from components.models import registry
    from components.trainer.component import TrainerParameters
    from tests.fixtures.bundles import LABELS

    keras.utils.set_random_seed(0)
    p = TrainerParameters()
    model = registry.build(p.architecture, _FRAMES, 40, len(LABELS), p.widths)
    codes = np.random.default_rng(0).integers(-128, 128, (32, _FRAMES, 40)).astype(np.int8)
    path.write_bytes(to_int8(model, codes))


def _pack(model: bytes, folder: Path) -> None:
    from components.converter.streaming import streaming_form
    from components.evaluator.component import EvaluatorParameters
    from components.infra_validator.reference import reference_outputs
    from edge_agent.bundle.archive import describe_files, pack
    from edge_agent.bundle.manifest import Stage, encode_manifest
    from tests.fixtures.bundles import MODEL, bundle_parts, npy_bytes

    manifest, files = bundle_parts(frames=_FRAMES)
    p = EvaluatorParameters()
    codes = np.random.default_rng(1).integers(-128, 128, (4, _FRAMES, 40)).astype(np.int8)
    files |= {
        "golden_inputs.npy": npy_bytes(codes),
        "golden_outputs.npy": npy_bytes(reference_outputs(model, codes)),
    }
    form = streaming_form(model, _STEP_FRAMES)
    streaming = Stage(
        name="keyword", model=MODEL, mode="streaming", frames=form.frames, state=form.state,
        window=form.window,
    )  # fmt: skip
    for name, stage, data, hop_frames in (
        ("sliding", manifest.stages[0], model, p.hop_frames),
        ("streaming", streaming, form.model, _STEP_FRAMES),
    ):
        policy = dataclasses.replace(
            manifest.policy, hop_frames=hop_frames, smoothing=p.smoothing, clip_hops=p.clip_hops
        )
        own = {**files, MODEL: data}
        made = dataclasses.replace(
            manifest, stages=(stage,), policy=policy, files=describe_files(own)
        )
        (folder / f"{name}.bundle").write_bytes(pack(encode_manifest(made), own))


if __name__ == "__main__":
    if sys.argv[1] == "--model":
        _convert(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
