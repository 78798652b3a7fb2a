"""From feature codes to probabilities: a bundle's model, run on the runtime that is installed.

A clip is decided as the stream is: by windows of `frames` frames, here at the fixed positions
`policy.clip_hops` around its middle. Silence stands before and after the clip, so that those
windows exist.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import numpy as np

from edge_agent.bundle.manifest import DetectionPolicy, KeywordManifest, Manifest, Stage
from edge_agent.classification import (
    ClassifierError,
    dequantised,
    open_classifier,
    open_encoder,
)
from edge_agent.features.audio import AudioFeatures, Codes, Float32, Pcm, clip_codes
from edge_agent.features.waveform import fit
from edge_agent.keyword.early_exit import EarlyExitNetwork, Joined, Leaving, open_early_exit
from edge_agent.keyword.gate import GATE_OUTPUTS, Computation, OpenedGate
from edge_agent.keyword.head import Head, backbone, embedding_of
from edge_agent.runtime import MakeModel, Model, Runtime
from edge_agent.streaming import StreamingModel


def clip_samples(features: AudioFeatures, frames: int) -> int:
    """Samples of the clip that `frames` frames stand for: the least whole number of strides.

    A clip of whole strides comes back from its own number of frames: 1 s is 16,000 samples for
    49 frames of 20 ms as for 98 of 10 ms, both at 16 kHz.
    """
    strides = math.ceil(features.samples_for(frames) / features.stride_samples)
    return strides * features.stride_samples


def clip_codes_with_margin(pcm: Pcm, features: AudioFeatures, margin_frames: int) -> Codes:
    """Codes of a clip that stands in silence: shape (margin + frames + margin, channels).

    Args:
        pcm: the clip, int16 at ``features.sample_rate``.
        features: the front end.
        margin_frames: frames of silence before and after it.
    """
    silence = np.zeros(margin_frames * features.stride_samples, np.int16)
    return clip_codes(np.concatenate([silence, pcm, silence]), features)


def clip_margin(policy: DetectionPolicy) -> int:
    """Frames of margin that the farthest of `policy.clip_hops` needs."""
    return max(abs(hop) for hop in policy.clip_hops) * policy.hop_frames


def clip_windows(codes: Codes, frames: int, policy: DetectionPolicy) -> Codes:
    """The windows that decide a clip: shape (..., clip_hops, frames, channels).

    Args:
        codes: shape (..., margin + frames + margin, channels), the margin at least `clip_margin`.
        frames: frames of one window.
        policy: where the windows stand.

    Raises:
        ValueError: if the margin is too small.
    """
    margin = (codes.shape[-2] - frames) // 2
    if margin < clip_margin(policy):
        raise ValueError(
            f"{codes.shape[-2]} frames leave a margin of {margin}; {clip_margin(policy)} are needed"
        )
    starts = [margin + hop * policy.hop_frames for hop in policy.clip_hops]
    return np.stack([codes[..., start : start + frames, :] for start in starts], axis=-3)


class _How(TypedDict):
    """How a model is opened, as `open_model` takes it."""

    runtime: Runtime
    threads: int
    delegate: str


class KeywordClassifier:
    """The model of a bundle, and the gate in front of it or the exit within it, if it has one.

    Attributes:
        labels: what the probabilities stand for, in order.
        features: the front end that feeds it.
        policy: how windows become decisions.
        frames: frames of one window.
        warm_up_frames: frames before the first score counts.
        clip_samples: samples of one clip.
        model: the loaded model; of a network with an early exit, its two parts as one.
        gate: the loaded gate, if the bundle has one.
        early_exit: the loaded network with an early exit, if the bundle has one.
    """

    def __init__(
        self,
        manifest: Manifest,
        files: Mapping[str, bytes],
        *,
        runtime: Runtime = "auto",
        threads: int = 1,
        delegate: str = "",
        head: Head | None = None,
    ) -> None:
        """Loads the model.

        Args:
            manifest: of the bundle.
            files: the others in it.
            runtime: which interpreter.
            threads: threads of one inference.
            delegate: a shared library that takes over what it can of the models; empty for none.
            head: a last layer that was learned on this device, in the place of the bundle's. The gate
                or the early exit, which know nothing of it and its words, are left out then.

        Raises:
            ClassifierError: if the model is not what the manifest says, or is of a kind that this
                agent does not run.
            RuntimeModelError: if no runtime here takes it.
        """
        if not isinstance(manifest, KeywordManifest):
            raise ClassifierError(
                f"the bundle is for {manifest.workload}, not for keyword_spotting: name another, "
                "or use its own command (python -m edge_agent --help)"
            )
        gate, stage = _stages(manifest)
        how: _How = {"runtime": runtime, "threads": threads, "delegate": delegate}
        self.warm_up_frames = manifest.warm_up_frames
        self.labels = manifest.labels if head is None else head.labels
        self.features = manifest.features
        self.policy = manifest.policy
        if head is not None:
            thresholds = {**manifest.policy.thresholds, **head.thresholds}
            self.policy = dataclasses.replace(manifest.policy, thresholds=thresholds)
        self.frames = stage.frames if stage.window is None else stage.window
        self.clip_samples = clip_samples(manifest.features, self.frames)
        if clip_margin(self.policy) > self.frames:
            raise ClassifierError("policy.clip_hops reach beyond the clip: build the bundle again")
        self.model: Model | Joined
        self.early_exit: EarlyExitNetwork | None = None
        if head is None and manifest.early_exit is not None:
            self.early_exit = open_early_exit(
                manifest.early_exit, files, shape=_shape(manifest, stage),
                labels=len(manifest.labels), minimum=manifest.minimum, **how,
            )  # fmt: skip
            self.model = self.early_exit.late
            self._read: Callable[[Codes], Float32] = functools.partial(
                dequantised, self.model.output
            )
        elif head is None:
            self.model = _opened(manifest, stage, files, how, manifest.labels)
            self._read = functools.partial(dequantised, self.model.output)
        else:
            self.model = _opened_backbone(manifest, stage, files, how, head)
            self._read = functools.partial(_answer_of, head, self.model)
        self.gate: OpenedGate | None = None
        self._gate_macs, self._macs = 0, manifest.macs
        self._windows = self._classified = self._left = 0
        if head is None and gate is not None and gate.gate is not None:
            model = _opened(manifest, gate, files, how, GATE_OUTPUTS)
            self.gate = OpenedGate(model, gate.gate.opens_at, self.labels)
            self._gate_macs = gate.gate.macs
            self._macs -= gate.gate.macs

    def probabilities(self, codes: Codes) -> Float32:
        """The probabilities of one window: codes (frames, channels) to float32 (labels,)."""
        self._windows += 1
        shut = None if self.gate is None else self.gate.answer(codes)
        if shut is not None:
            return shut
        self._classified += 1
        if self.early_exit is not None:
            found, left = self.early_exit.probabilities(codes)
            self._left += left
            return found
        return self._read(self.model.invoke(codes))

    def consecutive(self) -> Callable[[Codes], Float32]:
        """`probabilities` for windows that follow each other by ``policy.hop_frames`` each.

        A streaming model takes only what is new in each window but the first, and what it gives is
        the same.
        """
        if not isinstance(self.model, StreamingModel):
            return self.probabilities
        return _Consecutive(self.model, self._read)

    def computation(self) -> Computation | Leaving | None:
        """What the gate or the early exit spared so far; None without either."""
        if self.early_exit is not None:
            return self.early_exit.leaving(self._windows, self._left)
        if self.gate is None:
            return None
        return Computation(
            windows=self._windows,
            classified=self._classified,
            gate_macs=self._gate_macs,
            classifier_macs=self._macs,
        )

    def clip_probabilities(self, codes: Codes) -> Float32:
        """The mean over a clip's windows: (margin + frames + margin, channels) to (labels,)."""
        windows = clip_windows(codes, self.frames, self.policy)
        mean: Float32 = np.mean([self.probabilities(w) for w in windows], axis=0, dtype=np.float32)
        return mean

    def classify(self, pcm: Pcm) -> Float32:
        """The probabilities of one clip of any length, int16 at the features' rate.

        It is trimmed or padded to `clip_samples` around its middle. The decision is the largest.
        """
        clip = fit(pcm, self.clip_samples)
        margin = clip_margin(self.policy)
        return self.clip_probabilities(clip_codes_with_margin(clip, self.features, margin))


def _stages(manifest: KeywordManifest) -> tuple[Stage | None, Stage]:
    """The gate, if there is one, and the classifier."""
    stages = manifest.stages
    gates = [s for s in stages if s.gate is not None]
    rest = [s for s in stages if s.gate is None]
    plain = all(s.mode == "sliding_window" and not s.state for s in stages)
    if len(stages) == 1 and stages[0].window is not None and stages[0].gate is None:
        if stages[0].frames != manifest.policy.hop_frames:
            raise ClassifierError(
                f"a step of the model takes {stages[0].frames} frames, and policy.hop_frames is "
                f"{manifest.policy.hop_frames}: build the bundle again"
            )
        return None, stages[0]
    by = rest[0].gated_by if len(rest) == 1 else None
    if not plain or len(rest) != 1 or by != (gates[0].name if gates else None) or len(gates) > 1:
        kinds = ", ".join(f"{s.name} ({s.mode})" for s in stages)
        raise ClassifierError(
            "this agent runs bundles of one streaming stage, or of one sliding_window stage without "
            f"state, with or without a gate before it; this one has {kinds}: update the agent"
        )
    if gates and gates[0].frames != rest[0].frames:
        raise ClassifierError(
            f"the gate sees {gates[0].frames} frames and the classifier {rest[0].frames}: build the "
            "bundle again"
        )
    return (gates[0] if gates else None), rest[0]


def _opened(
    manifest: KeywordManifest,
    stage: Stage,
    files: Mapping[str, bytes],
    how: _How,
    outputs: Sequence[str],
) -> Model:
    return open_classifier(
        files[stage.model],
        stage.model,
        shape=_shape(manifest, stage),
        labels=len(outputs),
        minimum=manifest.minimum,
        **how,
        make=_maker(stage),
    )


def _opened_backbone(
    manifest: KeywordManifest,
    stage: Stage,
    files: Mapping[str, bytes],
    how: _How,
    head: Head,
) -> Model:
    """The stage's model up to what its last layer takes."""
    adaptation = manifest.adaptation
    if adaptation is None:
        raise ClassifierError(
            "the bundle holds nothing to learn with: release it again, with an architecture that ends in "
            "a dense layer and a softmax"
        )
    model = open_encoder(
        backbone(files[stage.model], adaptation.embedding),
        stage.model,
        shape=_shape(manifest, stage),
        minimum=manifest.minimum,
        **how,
        make=_maker(stage),
    )
    if math.prod(model.output.shape) != head.weights.shape[1]:
        raise ClassifierError(
            f"{stage.model}: its embedding is {model.output.shape}, and the head takes "
            f"{head.weights.shape[1]}: build the bundle again"
        )
    return model


def _shape(manifest: KeywordManifest, stage: Stage) -> tuple[int, ...]:
    return (1, stage.window or stage.frames, manifest.features.channels, 1)


def _maker(stage: Stage) -> MakeModel:
    if stage.window is None:
        return Model
    return functools.partial(StreamingModel, state=stage.state, window=stage.window)


def _answer_of(head: Head, model: Model, raw: Codes) -> Float32:
    return head.probabilities(embedding_of(raw, model.output))


class _Consecutive:
    """The probabilities of consecutive windows from a streaming model."""

    def __init__(self, model: StreamingModel, read: Callable[[Codes], Float32]) -> None:
        self._model = model
        self._read = read
        self._begun = False

    def __call__(self, window: Codes) -> Float32:
        """Takes the next window, all frames of it."""
        if self._begun:
            raw = self._model.step(window[-self._model.step_frames :])
        else:
            self._begun = True
            raw = self._model.invoke(window)
        return self._read(raw)
