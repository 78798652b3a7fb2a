"""Executor of EarlyExit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.artifacts import write_json
from components.base import Inputs, Metrics, Outputs, Progress, warn
from components.early_exit.component import EarlyExitParameters
from components.early_exit.cut import cut
from components.early_exit.int8 import exit_model
from components.early_exit.leaving import NEVER, leaving_threshold
from components.early_exit.linear import Float32, fit
from components.targets.flatbuffer import parse_graph
from components.training.data import FeatureSet
from edge_agent.bundle.manifest import EarlyExit
from edge_agent.keyword.early_exit import EarlyExitNetwork
from edge_agent.runtime import Model, open_model

_FILES = {"trunk": "trunk.tflite", "exit": "exit.tflite", "rest": "rest.tflite"}
_GOLDEN_OUTPUTS = "golden/exit_outputs.npy"
Windows = npt.NDArray[np.int8]
Labels = npt.NDArray[np.int32]


def execute(inputs: Inputs, outputs: Outputs, parameters: EarlyExitParameters) -> Metrics:
    """Writes the parts and ``early_exit.json``.

    Without `spend`, and where no window may leave, the latter alone, which says that there is none.
    """
    target = outputs["early_exit"]
    if not parameters.spend:
        _write_none(target)
        return {}
    features = FeatureSet.open(inputs["features"])
    parts = cut((inputs["model"] / "model.tflite").read_bytes(), parameters.spend)
    progress = Progress(4, "parts")
    trunk, rest = (open_model(part, runtime="litert") for part in (parts.trunk, parts.rest))
    windows, label = _training_windows(features, parameters)
    pooled = np.stack([_pooled(trunk, window) for window in windows])
    progress.at(1, "trunk run")
    linear = fit(pooled, label, len(features.labels))
    models = {
        "trunk": parts.trunk,
        "exit": exit_model(parts.rest, linear, pooled),
        "rest": parts.rest,
    }
    progress.at(2, "exit trained")
    graphs = {name: parse_graph(model) for name, model in models.items()}
    stated = EarlyExit(
        **_FILES,
        leaves_at=NEVER,
        trunk_macs=graphs["trunk"].macs,
        exit_macs=graphs["exit"].macs,
        rest_macs=graphs["rest"].macs,
        golden_outputs=_GOLDEN_OUTPUTS,
    )
    exit_ = open_model(models["exit"], runtime="litert")
    network = EarlyExitNetwork(trunk=trunk, exit_=exit_, rest=rest, stated=stated)
    answers = _Answers.of(network, features)
    leaves_at = leaving_threshold(answers.early, answers.late, parameters.agreement)
    progress.at(4, "threshold chosen")
    whole = stated.trunk_macs + stated.rest_macs
    metrics = {
        "leaves_at": leaves_at,
        "spent": stated.trunk_macs / max(whole, 1),
        "left": float((answers.early.max(1) >= leaves_at).mean()),
    }
    if leaves_at >= NEVER:
        warn(
            f"there will be no early exit: nothing that it says behind {parameters.spend:.0%} of the work "
            "can be relied on. Set EarlyExit.spend higher, or EarlyExit.agreement lower"
        )
        _write_none(target)
        return metrics
    for name, model in models.items():
        (target / _FILES[name]).write_bytes(model)
    write_json(
        target / "early_exit.json",
        {
            "early_exit": dataclasses.asdict(dataclasses.replace(stated, leaves_at=leaves_at)),
            "left": answers.left(leaves_at, features.labels),
            "bytes": {name: len(model) for name, model in models.items()},
            "operators": [dataclasses.asdict(count) for count in graphs["exit"].counts],
        },
    )
    return metrics


def _write_none(target: Path) -> None:
    write_json(target / "early_exit.json", {"early_exit": None})


def _training_windows(features: FeatureSet, p: EarlyExitParameters) -> tuple[Windows, Labels]:
    """At most `p.rows` windows of training clips, each early, in the middle and late in its margin."""
    train = features.split("train")
    offsets = _offsets(features)
    rows = np.random.default_rng(p.seed).permutation(len(train.codes))
    rows = np.sort(rows[: max(p.rows // len(offsets), 1)])
    codes = np.asarray(train.codes[rows])
    windows = np.concatenate([features.centred(codes, offset) for offset in offsets])
    return windows, np.tile(train.label[rows], len(offsets))


def _offsets(features: FeatureSet) -> list[int]:
    return sorted({-features.margin, 0, features.margin})


def _pooled(trunk: Model, window: Windows) -> Float32:
    """The mean over time of what the trunk gives, flattened."""
    passed = trunk.invoke(np.ascontiguousarray(window)).astype(np.float32)
    real = (passed - trunk.output.zero_point) * np.float32(trunk.output.scale)
    mean: Float32 = real.mean(axis=0).reshape(-1)
    return mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answers:
    """What exit and end say to the windows of validation.

    Attributes:
        label: the truth, shape (windows,).
        early: shape (windows, labels).
        late: shape (windows, labels).
    """

    label: Labels
    early: Float32
    late: Float32

    @classmethod
    def of(cls, network: EarlyExitNetwork, features: FeatureSet) -> _Answers:
        split, offsets = features.split("val"), _offsets(features)
        codes = np.asarray(split.codes)
        windows = np.concatenate([features.centred(codes, offset) for offset in offsets])
        early, late = zip(
            *(network.answers(np.ascontiguousarray(window)) for window in windows), strict=True
        )
        return cls(
            label=np.tile(split.label, len(offsets)), early=np.stack(early), late=np.stack(late)
        )

    def left(self, leaves_at: float, labels: tuple[str, ...]) -> dict[str, float]:
        """By label, the share of its windows that leave."""
        sure = self.early.max(1) >= leaves_at
        return {
            label: round(float(sure[self.label == place].mean()), 4)
            for place, label in enumerate(labels)
            if (self.label == place).any()
        }
