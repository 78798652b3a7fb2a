"""Parameters that every training step has."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureAugmentation:
    """Random changes of the feature codes of each example, drawn anew every time it is seen.

    Of a picture, time runs down its rows and the mel axis along its columns.

    Attributes:
        shift_frames: most shift in time, frames, either way (within the margin of Transform).
        time_stretch: most natural log of the time axis' stretch.
        warp: most natural log of the mel axis' stretch (vocal tract length).
        warp_shift: most shift of the mel axis, channels.
        gain: standard deviation of the level, codes.
        tilt: standard deviation of the first spectral tilt, codes; two higher ones follow.
        mask_share: share of examples with a time mask, and with a channel mask (SpecAugment,
            Park et al., 2019).
        mask_frames: longest time mask, frames.
        mask_channels: widest channel mask, channels.
        mixup: most that another example of the batch may weigh in an example and its label, 0 to
            below 1 (mixup, Zhang et al., 2018, with uniform weights).
        mirror: share of examples turned left to right, 0 to 1; for pictures of things that may be.
    """

    shift_frames: float
    time_stretch: float
    warp: float
    warp_shift: float
    gain: float
    tilt: float
    mask_share: float
    mask_frames: float
    mask_channels: float
    mixup: float
    mirror: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how a step trains.

    Attributes:
        epochs: epochs at most.
        examples_per_epoch: examples drawn an epoch, whatever the amount of data.
        batch: examples a step.
        learning_rate: peak of the cosine schedule.
        weight_decay: decoupled decay of the kernels (AdamW, Loshchilov and Hutter, 2019).
        label_smoothing: share of the target spread over all labels.
        ema: decay a step of the moving average of the weights that is kept in the end.
        patience: epochs without a better validation loss after which training stops.
        seed: seed of initial weights, drawing and augmentation.
        unknown_share: share of the examples that are recorded unknown words. More than is to be expected
            where the model is to listen makes it take words that it does not quite know for unknown ones.
        threads: threads that an operation may use; the outcome may depend on it.
        gradient_bits: bits of a gradient, rounded at random (components.training.gradients), 2 to 16; 0
            leaves gradients as they are.
    """

    epochs: int
    examples_per_epoch: int
    batch: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    ema: float
    patience: int
    seed: int
    unknown_share: float
    threads: int
    gradient_bits: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch."""
        return max(1, self.examples_per_epoch // self.batch)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingParameters:
    """Parameters that every training step takes: `Schedule` and `FeatureAugmentation`, flat.

    Flat, so that ``--set Trainer.epochs=40`` reaches each; see those classes for the meanings.
    """

    epochs: int = 14
    examples_per_epoch: int = 32_768
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    ema: float = 0.999
    patience: int = 12
    seed: int = 1
    unknown_share: float = 0.1
    threads: int = 2
    gradient_bits: int = 0
    shift_frames: float = 4.0
    time_stretch: float = 0.05
    warp: float = 0.05
    warp_shift: float = 1.0
    gain: float = 5.0
    tilt: float = 2.0
    mask_share: float = 0.3
    mask_frames: float = 8.0
    mask_channels: float = 7.0
    mixup: float = 0.4
    mirror: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or self.examples_per_epoch < self.batch:
            raise ValueError("epochs and batch must be 1 or more, and an epoch at least one batch")
        if not 0.0 <= self.label_smoothing < 1.0 or not 0.0 <= self.ema < 1.0:
            raise ValueError("label_smoothing and ema must be 0 to below 1")
        if not 0.0 <= self.unknown_share < 1.0 or not 0.0 <= self.mixup < 1.0:
            raise ValueError("unknown_share and mixup must be 0 to below 1")
        if not 0.0 <= self.mirror <= 1.0:
            raise ValueError("mirror must be 0 to 1")
        if self.threads < 1:
            raise ValueError("threads must be 1 or more")
        if self.gradient_bits and not 2 <= self.gradient_bits <= 16:
            raise ValueError("gradient_bits must be 2 to 16, or 0")
        if self.learning_rate <= 0:
            raise ValueError("learning_rate must be above 0")

    def schedule(self) -> Schedule:
        """The schedule among these parameters."""
        return Schedule(**_fields_of(Schedule, self))

    def augmentation(self) -> FeatureAugmentation:
        """The augmentation among these parameters."""
        return FeatureAugmentation(**_fields_of(FeatureAugmentation, self))


def _fields_of(type_: type[Any], source: object) -> dict[str, Any]:
    return {field.name: getattr(source, field.name) for field in dataclasses.fields(type_)}
