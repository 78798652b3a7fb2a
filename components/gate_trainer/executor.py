"""Executor of the GateTrainer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import write_json
from components.base import Inputs, Metrics, Outputs, UserError
from components.gate_trainer.component import GateTrainerParameters
from components.gate_trainer.rows import KEYWORD, GateFeatures, opening_threshold
from components.targets.flatbuffer import parse_graph
from components.training.data import FeatureSet
from edge_agent.keyword.gate import GATE_OUTPUTS, heard
from edge_agent.runtime import open_model


def execute(inputs: Inputs, outputs: Outputs, parameters: GateTrainerParameters) -> Metrics:
    """Writes the gate and ``gate.json``, or without widths ``gate.json`` alone, which says so."""
    if not parameters.widths:
        write_json(outputs["gate"] / "gate.json", {"opens_at": None})
        return {}
    features = GateFeatures.of(FeatureSet.open(inputs["features"]))
    model, metrics = _trained(features, parameters, outputs["gate"])
    splits = {name: _heard(model, features, name) for name in ("val", "test")}
    if not (splits["val"].label == KEYWORD).any():
        raise UserError(
            "validation holds no keyword to choose the gate's threshold by: add recordings, or take "
            "the gate out (--set GateTrainer.widths=[])"
        )
    opens_at = opening_threshold(splits["val"].keyword(KEYWORD), parameters.kept)
    graph = parse_graph(model)
    (outputs["gate"] / "gate.tflite").write_bytes(model)
    opened = {
        split: {
            label: round(float((found.keyword(place) >= opens_at).mean()), 4)
            for place, label in enumerate(GATE_OUTPUTS)
            if (found.label == place).any()
        }
        for split, found in splits.items()
    }
    content = {
        "opens_at": opens_at,
        "opened": opened,
        "bytes": len(model),
        "macs": graph.macs,
        "operators": [dataclasses.asdict(count) for count in graph.counts],
    }
    write_json(outputs["gate"] / "gate.json", content)
    return {
        **metrics,
        "bytes": float(len(model)),
        "macs": float(graph.macs),
        "opens_at": opens_at,
        **{f"opened_{split}": share[GATE_OUTPUTS[KEYWORD]] for split, share in opened.items()},
    }


def _trained(
    features: GateFeatures, parameters: GateTrainerParameters, output: Path
) -> tuple[bytes, Metrics]:
    """The trained gate as int8 .tflite, and the figures of its training."""
    # TensorFlow takes seconds to import, and a run without a gate needs none of it.
    from components.converter.convert import to_int8
    from components.models import registry
    from components.models.macs import count_macs
    from components.training import loop
    from components.training.losses import hard_loss

    loop.prepare(parameters.schedule())
    model = registry.build(
        parameters.architecture,
        features.frames,
        features.features.channels,
        len(GATE_OUTPUTS),
        parameters.widths,
    )
    history = loop.fit(
        model,
        features,
        parameters.schedule(),
        parameters.augmentation(),
        hard_loss(parameters.label_smoothing),
        output,
    )
    description = {
        "architecture": parameters.architecture,
        "arguments": {"widths": list(parameters.widths)},
        "params": int(model.count_params()),
        "macs": count_macs(model),
    }
    loop.save(model, output, description, history)
    codes = features.split("train").codes
    rows = np.random.default_rng(parameters.seed).permutation(len(codes))
    chosen = np.sort(rows[: parameters.calibration_rows])
    return to_int8(model, features.centred(np.asarray(codes[chosen]))), loop.metrics_of(history)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Heard:
    """What a gate heard in the windows of a split.

    Attributes:
        label: place in `GATE_OUTPUTS` of each window's truth, shape (windows,).
        probability: that of any keyword, shape (windows,).
    """

    label: npt.NDArray[np.int32]
    probability: npt.NDArray[np.float32]

    def keyword(self, place: int) -> npt.NDArray[np.float32]:
        """The probability of any keyword in the windows whose truth is at `place`."""
        return self.probability[self.label == place]


def _heard(model: bytes, features: GateFeatures, name: str) -> _Heard:
    """Runs the int8 gate as the device does; on LiteRT, which may be loaded beside TensorFlow."""
    opened = open_model(model, runtime="litert")
    split: Any = features.split(name)
    windows = features.shifted(np.asarray(split.codes))
    found = [heard(opened, np.ascontiguousarray(w))[KEYWORD] for w in windows]
    times = len(windows) // len(split.label)
    return _Heard(label=np.tile(split.label, times), probability=np.array(found, np.float32))
