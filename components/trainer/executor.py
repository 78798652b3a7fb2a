"""Executor of the Trainer."""

from __future__ import annotations

from components.artifacts import EARLY
from components.base import CHECKPOINT, Inputs, Metrics, Outputs
from components.models import registry
from components.models.macs import count_macs
from components.targets.untrained import lint_untrained
from components.trainer.component import TrainerParameters
from components.training import loop
from components.training.data import FeatureSet
from components.training.losses import hard_loss


def execute(inputs: Inputs, outputs: Outputs, parameters: TrainerParameters) -> Metrics:
    """Builds the architecture, checks its ops on the targets, trains it, and saves it."""
    loop.prepare(parameters.schedule())
    features = FeatureSet.open(inputs["features"])
    model = registry.build(
        parameters.architecture,
        features.frames,
        features.channels,
        len(features.labels),
        parameters.widths,
        depth=features.depth,
    )
    if parameters.targets:
        lint_untrained(model, parameters.targets)
    early = outputs["model"] / CHECKPOINT / EARLY
    early.parent.mkdir(exist_ok=True)
    rewind_step = parameters.rewind_epoch * parameters.schedule().steps_per_epoch

    def keep_early(step: int) -> None:
        if step == rewind_step:
            model.save_weights(early)

    history = loop.fit(
        model,
        features,
        parameters.schedule(),
        parameters.augmentation(),
        hard_loss(parameters.label_smoothing),
        outputs["model"],
        before_step=keep_early,
    )
    description = {
        "architecture": parameters.architecture,
        "arguments": {"widths": list(parameters.widths)},
        "params": int(model.count_params()),
        "macs": count_macs(model),
    }
    loop.save(model, outputs["model"], description, history)
    if early.exists():  # not if training was shorter
        early.rename(outputs["model"] / EARLY)
    return loop.metrics_of(history)
