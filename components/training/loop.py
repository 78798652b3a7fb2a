"""The training loop: AdamW on a cosine schedule, a moving average of the weights, early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.artifacts import write_json
from components.base import Metrics, Progress, UserError
from components.training.checkpoint import Checkpoint, State
from components.training.data import FeatureSet, as_inputs
from components.training.gradients import all_rounded
from components.training.losses import Loss
from components.training.parameters import FeatureAugmentation, Schedule
from components.training.sampler import Sampler

Tensor = Any
Model = Any
History = dict[str, list[float]]

_WARM_UP = 0.03
_VALIDATION_BATCH = 512


def prepare(schedule: Schedule) -> None:
    """Fixes what the outcome depends on: the seed of initial weights, and the threads.

    The sampler's draws are stateless. Call it before any other use of TensorFlow.
    """
    tf.config.threading.set_intra_op_parallelism_threads(schedule.threads)
    tf.config.threading.set_inter_op_parallelism_threads(schedule.threads)
    keras.utils.set_random_seed(schedule.seed)


def fit(
    model: Model,
    features: FeatureSet,
    schedule: Schedule,
    augmentation: FeatureAugmentation,
    loss: Loss,
    output: Path,
    keep: Mapping[str, Tensor] | None = None,
    before_step: Callable[[int], None] | None = None,
    settled_from: int = 0,
    part: str = "",
    after_epoch: Callable[[History], None] | None = None,
) -> History:
    """Trains `model` in place and leaves it with the moving average of its best epochs' weights.

    Args:
        model: gives probabilities (softmax), or a list that begins with them.
        features: what to train and validate on.
        schedule: how long and how.
        augmentation: how examples are changed.
        loss: of (inputs, one-hot labels, what the model gives).
        output: artifact folder; TensorBoard events go to its ``logs``. Where an interrupted
            execution left a checkpoint in it, training goes on from there, to the same bits.
        keep: by variable name, a mask of 0 and 1 that the variable is multiplied with each step.
        before_step: called with the step's number before each step.
        settled_from: first epoch whose weights may be kept (pruning is not done before).
        part: names this training in a step that has several: its checkpoint, and its curves.
        after_epoch: called with the curves so far after each epoch; what it raises ends the training.

    Returns:
        Curves by name, one value an epoch: loss, validation_loss, validation_accuracy.

    Raises:
        UserError: if the loss stops being a number.
    """
    sampler = Sampler(features, augmentation, schedule.batch, schedule.seed, schedule.unknown_share)
    training = _Training(model, schedule, sampler, loss, keep or {})
    validation = _Validation(features)
    checkpoint = Checkpoint(output, part)
    history: History = {"loss": [], "validation_loss": [], "validation_accuracy": []}
    best, best_epoch, best_weights = math.inf, 0, training.averaged()
    left = checkpoint.read([tuple(variable.shape) for variable in training.variables])
    if left is not None:
        history, best, best_epoch, best_weights = (
            left.history,
            left.best_loss,
            left.best_epoch,
            left.best,
        )
        training.restore(left.variables)
    progress = Progress(schedule.epochs * schedule.steps_per_epoch, "steps")
    curves = _Curves(output / "logs" / "tensorboard" / part, history)
    for epoch in range(len(history["loss"]), schedule.epochs):
        if epoch > settled_from and epoch - 1 - best_epoch >= schedule.patience:
            break
        mean = _epoch(training, schedule, epoch, progress, before_step, history)
        if not math.isfinite(mean):
            raise UserError("training diverged: the loss is not a number; lower learning_rate")
        averaged = training.averaged()
        validation_loss, accuracy = validation.measure(model, averaged)
        for name, value in zip(history, (mean, validation_loss, accuracy), strict=True):
            history[name].append(round(value, 6))
        curves.draw(epoch)
        if epoch >= settled_from and validation_loss < best:
            best, best_epoch, best_weights = validation_loss, epoch, averaged
        checkpoint.write(
            State(
                variables=[variable.numpy() for variable in training.variables],
                best=best_weights,
                best_epoch=best_epoch,
                best_loss=best,
                history=history,
            )
        )
        if after_epoch is not None:
            after_epoch(history)
    curves.close()
    model.set_weights(best_weights)
    return history


def metrics_of(history: History, settled_from: int = 0) -> Metrics:
    """The figures of the epoch whose weights were kept, and its number from 1; see `fit`."""
    kept = settled_from + int(np.argmin(history["validation_loss"][settled_from:]))
    return {**{name: curve[kept] for name, curve in history.items()}, "epochs": float(kept + 1)}


def probabilities_of(given: Any) -> Tensor:
    """The probabilities in what a model gives: all of it, or the first of a list."""
    return given[0] if isinstance(given, list) else given


def validate(model: Model, features: FeatureSet) -> tuple[float, float]:
    """(loss, accuracy) of `model` on the validation split, as `fit` measures them."""
    return _Validation(features).measure(model, model.get_weights())


def save(model: Model, output: Path, description: Mapping[str, Any], history: History) -> None:
    """Writes the Model artifact."""
    model.save(output / "model.h5", include_optimizer=False, save_format="h5")
    write_json(output / "model.json", dict(description))
    write_json(output / "history.json", history)


def _epoch(
    training: _Training,
    schedule: Schedule,
    epoch: int,
    progress: Progress,
    before_step: Callable[[int], None] | None,
    history: History,
) -> float:
    total = tf.constant(0.0)
    note = f"validation accuracy {history['validation_accuracy'][-1]:.3f}" if epoch else ""
    for i in range(schedule.steps_per_epoch):
        step = epoch * schedule.steps_per_epoch + i
        if before_step is not None:
            before_step(step)
        total += training.step()
        if i % 16 == 0:
            progress.at(step + 1, note)
    progress.at((epoch + 1) * schedule.steps_per_epoch, note)
    return float(total) / schedule.steps_per_epoch


class _Curves:
    """The history as TensorBoard's events, from the first epoch on, also after an interruption."""

    def __init__(self, folder: Path, history: History) -> None:
        self._history = history
        self._writer = tf.summary.create_file_writer(str(folder))
        for epoch in range(len(history["loss"])):
            self.draw(epoch)

    def draw(self, epoch: int) -> None:
        with self._writer.as_default(step=epoch):
            for name, curve in self._history.items():
                tf.summary.scalar(name, curve[epoch])

    def close(self) -> None:
        self._writer.close()


class _Training:
    """One step of training, compiled once."""

    def __init__(
        self,
        model: Model,
        schedule: Schedule,
        sampler: Sampler,
        loss: Loss,
        keep: Mapping[str, Tensor],
    ) -> None:
        self._model = model
        self._schedule = schedule
        self._sampler = sampler
        self._loss = loss
        self._keep = [(v, keep[v.name]) for v in model.trainable_variables if v.name in keep]
        steps = schedule.epochs * schedule.steps_per_epoch
        self._warm = max(1, int(_WARM_UP * steps))
        self._steps = steps
        self.optimizer = keras.optimizers.AdamW(
            learning_rate=0.0, weight_decay=schedule.weight_decay, beta_2=0.99
        )
        self.optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self.optimizer.build(model.trainable_variables)
        self._averages = [tf.Variable(w, trainable=False) for w in model.weights]
        self._count = tf.Variable(0, dtype=tf.int32, trainable=False)
        self.step = tf.function(self._step)

    @property
    def variables(self) -> list[Any]:
        """All that a step reads and changes, in a fixed order."""
        return [*self._model.weights, *self._averages, *self.optimizer.variables(), self._count]

    def restore(self, values: list[np.ndarray[Any, Any]]) -> None:
        """Sets `variables` to `values`."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def averaged(self) -> list[np.ndarray[Any, Any]]:
        """The moving averages, in the order of ``model.get_weights()``."""
        return [average.numpy() for average in self._averages]

    def _step(self) -> Tensor:
        count = tf.cast(self._count, tf.float32)
        cosine = 0.5 * (1.0 + tf.cos(math.pi * count / self._steps)) + 0.002
        rate = self._schedule.learning_rate * tf.minimum((count + 1.0) / self._warm, 1.0) * cosine
        self.optimizer.learning_rate.assign(rate)
        inputs, labels = self._sampler.draw(self._count)
        with tf.GradientTape() as tape:
            loss = self._loss(inputs, labels, self._model(inputs, training=True))
        variables = self._model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if self._schedule.gradient_bits:
            bits, seed = self._schedule.gradient_bits, self._schedule.seed
            gradients = all_rounded(gradients, bits, seed, self._count)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for variable, mask in self._keep:
            variable.assign(variable * mask)
        decay = tf.minimum(self._schedule.ema, (count + 1.0) / (count + 10.0))
        for average, weight in zip(self._averages, self._model.weights, strict=True):
            if _is_averaged(weight):
                average.assign(decay * average + (1.0 - decay) * weight)
            else:
                average.assign(weight)
        self._count.assign_add(1)
        return loss


def _is_averaged(weight: Any) -> bool:
    """Trained weights and batch statistics are; masks, thresholds and quantiser ranges are not."""
    return bool(weight.trainable) or "/moving_" in weight.name


class _Validation:
    """Loss and accuracy on the validation split, on clips as recorded and on their views."""

    def __init__(self, features: FeatureSet) -> None:
        split = features.split("val")
        codes = features.centred(np.asarray(split.codes))
        self._inputs = as_inputs(codes)
        self._labels = split.label
        self._infer: Any = None

    def measure(self, model: Model, weights: list[np.ndarray[Any, Any]]) -> tuple[float, float]:
        """(loss, accuracy) of `model` with `weights`; its own weights are put back."""
        own = model.get_weights()
        model.set_weights(weights)
        probabilities = self._probabilities(model)
        model.set_weights(own)
        right = probabilities[np.arange(len(self._labels)), self._labels]
        accuracy = float((probabilities.argmax(1) == self._labels).mean())
        return float(-np.log(right + 1e-7).mean()), accuracy

    def _probabilities(self, model: Model) -> np.ndarray[Any, Any]:
        if self._infer is None:
            self._infer = tf.function(
                lambda x: probabilities_of(model(x, training=False)), reduce_retracing=True
            )
        batches = range(0, len(self._inputs), _VALIDATION_BATCH)
        parts = [
            self._infer(tf.constant(self._inputs[i : i + _VALIDATION_BATCH])).numpy()
            for i in batches
        ]
        return np.concatenate(parts)
