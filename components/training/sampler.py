"""Drawing training batches and augmenting them, all inside the TensorFlow graph.

Every random number is a pure function of (seed, step), so a run can be repeated and resumed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from components.training.data import FeatureSet, groups
from components.training.parameters import FeatureAugmentation
from edge_agent.features.audio import INPUT_SCALE

Tensor = Any
_DRAWS = 24


class Sampler:
    """Batches of (input, one-hot label) from the training split.

    Args:
        features: the Features artifact.
        augmentation: how each example is changed.
        batch: examples a batch.
        seed: seed of all draws.
        unknown_share: share of a batch that is recorded unknown words.
    """

    def __init__(
        self,
        features: FeatureSet,
        augmentation: FeatureAugmentation,
        batch: int,
        seed: int,
        unknown_share: float,
    ) -> None:
        split = features.split("train")
        # Of coloured pictures (rows, height, width, 3) becomes (rows, height, 3 x width): colours side by
        # side, so that both axes are stretched by one matrix product each, as those of sound are.
        codes = np.asarray(split.codes)
        if features.depth > 1:
            codes = codes.transpose(0, 1, 3, 2).reshape(*codes.shape[:2], -1)
        self._codes = tf.constant(codes)
        self._labels = tf.constant(split.label)
        self._depth = len(features.labels)
        self._frames = features.frames
        self._source_frames = features.frames + 2 * features.margin
        self._channels = features.channels
        self._colours = features.depth
        self._augmentation = augmentation
        self._batch = batch
        self._seed = seed
        shares_and_rows = groups(split, features.labels, unknown_share)
        ends = np.rint(np.cumsum([share for share, _ in shares_and_rows]) * batch).astype(int)
        counts = np.diff(np.concatenate([[0], ends]))
        self._groups = [
            (int(n), tf.constant(rows))
            for n, (_, rows) in zip(counts, shares_and_rows, strict=True)
        ]

    def draw(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """The batch of step number `step`: inputs (batch, frames, channels, depth), one-hot labels."""
        draws = _Draws(tf.stack([tf.constant(self._seed, tf.int32), tf.cast(step, tf.int32)]))
        rows = []
        for count, group in self._groups:
            at = draws.uniform((count,), 0.0, 1.0) * tf.cast(tf.shape(group)[0], tf.float32)
            rows.append(tf.gather(group, tf.cast(at, tf.int32)))
        picked = tf.concat(rows, 0)
        codes = tf.cast(tf.gather(self._codes, picked), tf.float32)
        codes = self._warp(codes, draws)
        codes = tf.clip_by_value(self._colour(codes, draws), -128.0, 127.0)
        inputs = self._mask(codes * INPUT_SCALE, draws)
        labels = tf.one_hot(tf.gather(self._labels, picked), self._depth)
        colours = tf.reshape(inputs, (self._batch, self._frames, self._colours, self._channels))
        return self._mix(tf.transpose(colours, (0, 1, 3, 2)), labels, draws)

    def _warp(self, codes: Tensor, draws: _Draws) -> Tensor:
        """Shift and stretch in time, shift and stretch along the mel axis: linear interpolation.

        Shape (batch, frames x colours, channels).
        """
        a, batch = self._augmentation, self._batch
        stretch = tf.exp(draws.uniform((batch, 1), -a.time_stretch, a.time_stretch))
        shift = draws.uniform((batch, 1), -a.shift_frames, a.shift_frames)
        middle = (self._source_frames - 1) / 2.0
        frames = tf.range(self._frames, dtype=tf.float32)[None] - (self._frames - 1) / 2.0
        codes = tf.matmul(
            _interpolation(middle + frames * stretch + shift, self._source_frames), codes
        )
        scale = tf.exp(draws.uniform((batch, 1), -a.warp, a.warp))
        offset = draws.uniform((batch, 1), -a.warp_shift, a.warp_shift)
        channels = scale * tf.range(self._channels, dtype=tf.float32)[None] + offset
        if a.mirror:
            turned = draws.uniform((batch, 1), 0.0, 1.0) < a.mirror
            channels = tf.where(turned, self._channels - 1.0 - channels, channels)
        codes = tf.reshape(codes, (batch, self._frames * self._colours, self._channels))
        return tf.matmul(codes, _interpolation(channels, self._channels), transpose_b=True)

    def _colour(self, codes: Tensor, draws: _Draws) -> Tensor:
        """Level and slow spectral tilts: the first cosines along the mel axis."""
        a = self._augmentation
        angle = np.arange(self._channels) / (self._channels - 1) * math.pi
        basis = np.stack([np.cos(k * angle) for k in range(4)]).astype(np.float32)
        spread = tf.constant([a.gain, a.tilt, a.tilt * 0.7, a.tilt * 0.5], tf.float32)
        return codes + tf.matmul(draws.normal((self._batch, 4)) * spread, basis)[:, None, :]

    def _mask(self, inputs: Tensor, draws: _Draws) -> Tensor:
        a = self._augmentation
        mean = tf.reduce_mean(inputs, [1, 2], keepdims=True)
        in_time = self._span(self._frames, a.mask_frames, draws)[:, :, None]
        in_time = tf.repeat(in_time, self._colours, axis=1)
        in_channel = self._span(self._channels, a.mask_channels, draws)[:, None, :]
        masked = tf.maximum(in_time, in_channel)
        return inputs * (1.0 - masked) + mean * masked

    def _mix(self, inputs: Tensor, labels: Tensor, draws: _Draws) -> tuple[Tensor, Tensor]:
        """Each example with a little of another one of the batch, and its label likewise."""
        other = tf.argsort(draws.uniform((self._batch,), 0.0, 1.0))
        weight = draws.uniform((self._batch, 1), 1.0 - self._augmentation.mixup, 1.0)
        wide = weight[:, :, None, None]
        return (
            inputs * wide + tf.gather(inputs, other) * (1.0 - wide),
            labels * weight + tf.gather(labels, other) * (1.0 - weight),
        )

    def _span(self, size: int, longest: float, draws: _Draws) -> Tensor:
        has = tf.cast(
            draws.uniform((self._batch, 1), 0.0, 1.0) < self._augmentation.mask_share, tf.float32
        )
        width = draws.uniform((self._batch, 1), 0.0, longest) * has
        start = draws.uniform((self._batch, 1), 0.0, 1.0) * (size - width)
        at = tf.range(size, dtype=tf.float32)[None]
        return tf.cast((at >= start) & (at < start + width), tf.float32)


class _Draws:
    """Independent stateless random tensors from one seed pair."""

    def __init__(self, seed: Tensor) -> None:
        self._seeds = tf.random.experimental.stateless_split(seed, _DRAWS)
        self._used = 0

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        return tf.random.stateless_uniform(shape, self._next(), low, high)

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        return tf.random.stateless_normal(shape, self._next())

    def _next(self) -> Tensor:
        self._used += 1
        return self._seeds[self._used - 1]


def _interpolation(positions: Tensor, size: int) -> Tensor:
    """Matrices (batch, n, size) that interpolate linearly at `positions` (batch, n)."""
    held = tf.clip_by_value(positions, 0.0, size - 1.0)
    return tf.nn.relu(1.0 - tf.abs(held[:, :, None] - tf.range(size, dtype=tf.float32)))
