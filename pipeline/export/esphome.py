"""A bundle in the format of ESPHome's micro wake word, version 2: a model and a manifest for each word.

The model is the bundle's in streaming form, with its state inside and one word's probability out
(`components.converter.wake_word`). The front end must be the one that ESPHome runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from components.base import UserError
from components.converter.streaming import StreamingForm, streaming_form
from components.converter.wake_word import wake_word_model
from components.targets.flatbuffer import parse_graph
from edge_agent.bundle.archive import Bundle
from edge_agent.bundle.manifest import SILENCE, UNKNOWN, KeywordManifest
from pipeline.export.arena import measured_arena, with_margin

_STEP_MS = 10
_CHANNELS = 40
# The first release that reads manifests of version 2.
_MINIMUM = "2024.7.0"
# What ESPHome registers for these models; another operator would not be found there.
OPERATORS = frozenset(
    {"ADD", "ASSIGN_VARIABLE", "AVERAGE_POOL_2D", "CALL_ONCE", "CONCATENATION", "CONV_2D"}
    | {"DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MUL", "PACK"}
    | {"PAD", "QUANTIZE", "READ_VARIABLE", "RESHAPE", "SPLIT_V", "STRIDED_SLICE", "VAR_HANDLE"}
)


def esphome(bundle: Bundle) -> Mapping[str, bytes]:
    """The files by name; see docs/export.md. Runs TFLM, in a process of its own, for the arena.

    Raises:
        UserError: for a bundle that has no form for ESPHome.
    """
    manifest = bundle.manifest
    if not isinstance(manifest, KeywordManifest):
        raise UserError(f"the bundle is for {manifest.workload}: micro wake word hears words alone")
    _demand_front_end(manifest)
    form = _form(manifest, bundle)
    words = [w for w in manifest.labels if w in manifest.policy.thresholds]
    words = [w for w in words if w not in (SILENCE, UNKNOWN)]
    names = {word: re.sub(r"[^a-z0-9]+", "_", word.casefold()).strip("_") for word in words}
    if not words or len({*names.values(), ""}) <= len(words):
        raise UserError("the bundle's words give no different file names: name them otherwise")
    files: dict[str, bytes] = {}
    arena = 0
    for word, name in names.items():
        model = wake_word_model(form, manifest.labels.index(word))
        _demand_operators(model)
        arena = arena or with_margin(measured_arena(name, model))  # the words differ in one slice
        files[f"{name}.tflite"] = model
        files[f"{name}.json"] = _manifest(manifest, word, name, arena)
    files["README.md"] = _readme(manifest, form, words).encode()
    return files


def _demand_front_end(manifest: KeywordManifest) -> None:
    features = manifest.features
    found = (features.front_end, features.stride_ms, features.channels, features.sample_rate)
    if found != ("micro", _STEP_MS, _CHANNELS, 16_000):
        raise UserError(
            f"the bundle's front end is {found[0]} with steps of {found[1]} ms, and ESPHome's is micro "
            "with steps of 10 ms: train with --set Transform.front_end=micro"
        )


def _form(manifest: KeywordManifest, bundle: Bundle) -> StreamingForm:
    stages = [stage for stage in manifest.stages if stage.gate is None]
    if len(stages) != 1 or len(manifest.stages) != 1:
        raise UserError("the bundle has a gate, and micro wake word has none: train without it")
    (stage,) = stages
    model = bundle.files[stage.model]
    if stage.window is not None:
        pairs = tuple((before, after) for before, after in stage.state)
        return StreamingForm(model=model, state=pairs, frames=stage.frames, window=stage.window)
    try:
        return streaming_form(model, manifest.policy.hop_frames)
    except UserError as e:
        raise UserError(f"{stage.model}: {e}; Evaluator.hop_frames is the length of a step") from e


def _demand_operators(model: bytes) -> None:
    missing = {count.name for count in parse_graph(model).counts} - OPERATORS
    if missing:
        raise UserError(
            f"ESPHome has no {', '.join(sorted(missing))}: take an architecture without it"
        )


def _manifest(manifest: KeywordManifest, word: str, name: str, arena: int) -> bytes:
    content = {
        "type": "micro",
        "wake_word": word,
        "author": manifest.name,
        "website": "",
        "model": f"{name}.tflite",
        "trained_languages": [],
        "version": 2,
        "micro": {
            "probability_cutoff": round(manifest.policy.thresholds[word], 4),
            "feature_step_size": _STEP_MS,
            "sliding_window_size": manifest.policy.smoothing,
            "tensor_arena_size": arena,
            "minimum_esphome_version": _MINIMUM,
        },
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def _readme(manifest: KeywordManifest, form: StreamingForm, words: list[str]) -> str:
    shown = ", ".join(words)
    return f"""# {manifest.name} for ESPHome

A model and a manifest (version 2) of micro wake word for each of: {shown}.

    micro_wake_word:
      models:
        - model: PATH/{words[0]}.json

A step takes {form.frames * _STEP_MS} ms and gives the word's probability against the strongest other label,
averaged over {manifest.policy.smoothing} steps. The bundle's own probability is that against all other labels
together, which is a little lower where several compete: a cut-off is easier to reach here than on the agent.
Raise `probability_cutoff` if the word is heard too often.
"""
