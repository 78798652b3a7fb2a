"""Keyword bundles of the pipeline's architecture and defaults, untrained: for what they cost alone.

``python -m tests.bench.untrained_bundle FOLDER`` writes ``sliding.bundle``, ``streaming.bundle`` (steps of
two frames) and ``streaming by 4.bundle``.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

_FRAMES = 49


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
    from edge_agent.bundle.manifest import Stage
    from tests.fixtures.bundles import MODEL, bundle_parts, npy_bytes

    manifest, files = bundle_parts(frames=_FRAMES)
    p = EvaluatorParameters()
    codes = np.random.default_rng(1).integers(-128, 128, (4, _FRAMES, 40)).astype(np.int8)
    files |= {
        "golden_inputs.npy": npy_bytes(codes),
        "golden_outputs.npy": npy_bytes(reference_outputs(model, codes)),
    }
    _write(folder / "sliding.bundle", manifest, files | {MODEL: model}, p.hop_frames)
    for name, frames in (("streaming", 2), ("streaming by 4", 4)):
        form = streaming_form(model, frames)
        stage = Stage(
            name="keyword", model=MODEL, mode="streaming", frames=frames, state=form.state,
            window=form.window,
        )  # fmt: skip
        streaming = dataclasses.replace(manifest, stages=(stage,))
        _write(folder / f"{name}.bundle", streaming, files | {MODEL: form.model}, frames)


def _write(path: Path, manifest: Any, files: dict[str, bytes], hop_frames: int) -> None:
    from components.evaluator.component import EvaluatorParameters
    from edge_agent.bundle.archive import describe_files, pack
    from edge_agent.bundle.manifest import encode_manifest

    p = EvaluatorParameters()
    policy = dataclasses.replace(
        manifest.policy, hop_frames=hop_frames, smoothing=p.smoothing, clip_hops=p.clip_hops
    )
    made = dataclasses.replace(manifest, policy=policy, files=describe_files(files))
    path.write_bytes(pack(encode_manifest(made), files))


if __name__ == "__main__":
    if sys.argv[1] == "--model":
        _convert(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]))
