"""A bundle as C and C++ sources for TensorFlow Lite for Microcontrollers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from components.base import UserError
from components.targets.flatbuffer import parse_graph
from components.targets.graph import Graph, GraphError, Quantisation
from components.targets.lint import lint
from components.targets.profile import load_profile
from edge_agent.bundle.archive import Bundle, BundleError
from edge_agent.bundle.manifest import SILENCE, UNKNOWN, Golden, KeywordManifest, Stage
from pipeline.export import c_text
from pipeline.export.arena import ARENA_MARGIN, measured_arena, with_margin
from pipeline.export.tflm_resolver import add_call

# A probability that is never reached: the label does not fire.
_NEVER = 2.0
_TEMPLATES = Path(__file__).parent / "templates"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatePart:
    """One tensor that a streaming model hands from step to step.

    Attributes:
        input: its place among the model's inputs.
        output: its place among the outputs.
        offset: where it stands in what is held between two steps, bytes.
        bytes: its size.
        zero_point: what all of it is in the beginning.
    """

    input: int
    output: int
    offset: int
    bytes: int
    zero_point: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSource:
    """What the templates say of one model.

    Attributes:
        id: what its names in C begin with.
        stage: the stage that runs it.
        data: the .tflite file.
        calls: the resolver's member functions, one an operator.
        arena_measured: TFLM's arena with reference kernels, bytes.
        arena_bytes: the same with the margin.
        macs: multiply-accumulates of one inference.
        output: the quantisation of its output.
        state: what goes from step to step; empty if it takes whole windows.
    """

    id: str
    stage: Stage
    data: bytes
    calls: tuple[str, ...]
    arena_measured: int
    arena_bytes: int
    macs: int
    output: Quantisation
    state: tuple[StatePart, ...]

    @property
    def state_bytes(self) -> int:
        """Size of all of `state`."""
        return sum(part.bytes for part in self.state)


def c_sources(bundle: Bundle) -> Mapping[str, bytes]:
    """The files by name; see docs/export.md. Runs TFLM, in a process of its own, for the arena.

    Raises:
        UserError: if the bundle is of a workload without a C form, or TFLM does not run its models.
    """
    manifest = bundle.manifest
    if not isinstance(manifest, KeywordManifest):
        raise UserError(
            f"{manifest.name} is of the workload {manifest.workload}, and --to c has a form for "
            "keyword_spotting only"
        )
    prefix = c_text.identifier(manifest.name)
    models = [_model_source(stage, bundle, prefix) for stage in manifest.stages]
    if len({model.id for model in models}) < len(models):
        raise UserError("two stages have the same name in C: rename one in the recipe")
    context = {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "manifest": manifest,
        "digest": bundle.digest,
        "models": models,
        "margin_percent": round(100 * ARENA_MARGIN),
        "thresholds": _thresholds(manifest),
    }
    pages = {f"{prefix}_parameters.h": ("parameters.h.j2", context)}
    for model in models:
        own = context | {"model": model}
        pages[f"{model.id}_model.h"] = ("model.h.j2", own)
        pages[f"{model.id}_model.c"] = ("model.c.j2", own)
        pages[f"{model.id}_resolver.h"] = ("resolver.h.j2", own)
        if model.state:
            pages[f"{model.id}_state.h"] = ("state.h.j2", own)
    runnable = len(models) == 1
    if runnable:
        golden = context | {"model": models[0], "golden": _golden(bundle, manifest.golden)}
        pages[f"{prefix}_golden.h"] = ("golden.h.j2", golden)
        pages[f"{prefix}_golden.c"] = ("golden.c.j2", golden)
        pages["main.cc"] = ("main.cc.j2", golden)
    pages["README.md"] = ("README.md.j2", context | {"runnable": runnable, "files": sorted(pages)})
    templates = _environment()
    return {
        file: templates.get_template(template).render(content).encode()
        for file, (template, content) in pages.items()
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # The output is C, where HTML's escapes would be wrong; strings go through c_text.string.
        autoescape=False,
    )
    environment.filters |= {
        "identifier": c_text.identifier,
        "real": c_text.real,
        "string": c_text.string,
        "unsigned_bytes": c_text.unsigned_bytes,
        "codes": c_text.codes,
    }
    return environment


def _model_source(stage: Stage, bundle: Bundle, prefix: str) -> ModelSource:
    data = bundle.files[stage.model]
    try:
        graph = parse_graph(data)
    except GraphError as e:
        raise UserError(f"{stage.model} in the bundle: {e}") from e
    _demand_tflm(stage, graph)
    output = graph.tensors[graph.outputs[0]].quantisation if graph.outputs else None
    if output is None:
        raise UserError(f"{stage.model} in the bundle: has no int8 output: build the bundle again")
    measured = measured_arena(stage.model, data)
    return ModelSource(
        id=f"{prefix}_{c_text.identifier(stage.name)}",
        stage=stage,
        data=data,
        calls=tuple(sorted({add_call(operator.name) for operator in graph.operators})),
        arena_measured=measured,
        arena_bytes=with_margin(measured),
        macs=graph.macs,
        output=output,
        state=_state(stage, graph),
    )


def _state(stage: Stage, graph: Graph) -> tuple[StatePart, ...]:
    inputs = {graph.tensors[tensor].name: place for place, tensor in enumerate(graph.inputs)}
    outputs = {graph.tensors[tensor].name: place for place, tensor in enumerate(graph.outputs)}
    parts: list[StatePart] = []
    for before, after in stage.state:
        try:
            entry, exit_ = inputs[before], outputs[after]
        except KeyError as e:
            raise UserError(f"{stage.model} has no tensor {e}: build the bundle again") from e
        tensor = graph.tensors[graph.inputs[entry]]
        grid = tensor.quantisation
        parts.append(
            StatePart(
                input=entry,
                output=exit_,
                offset=sum(part.bytes for part in parts),
                bytes=math.prod(tensor.shape),
                zero_point=0 if grid is None else grid.zero_points[0],
            )
        )
    return tuple(parts)


def _demand_tflm(stage: Stage, graph: Graph) -> None:
    refusals = [
        f"{finding['what']}: {finding['advice']}"
        for finding in lint(graph, load_profile("tflm"))["findings"]
        if finding["severity"] == "error"
    ]
    if refusals:
        raise UserError(f"{stage.model} does not run on TFLM:\n  " + "\n  ".join(refusals))


def _thresholds(manifest: KeywordManifest) -> list[float]:
    silent = (UNKNOWN, SILENCE)
    thresholds = manifest.policy.thresholds
    return [
        _NEVER if label in silent else thresholds.get(label, _NEVER) for label in manifest.labels
    ]


def _golden(bundle: Bundle, golden: Golden) -> dict[str, npt.NDArray[np.int8]]:
    try:
        inputs, outputs = bundle.array(golden.inputs), bundle.array(golden.outputs)
    except BundleError as e:
        raise UserError(str(e)) from e
    shaped = inputs.ndim == 3 and outputs.ndim == 2 and 0 < len(inputs) == len(outputs)
    if not shaped or inputs.dtype != np.int8 or outputs.dtype != np.int8:
        raise UserError(
            "the bundle's golden vectors are not int8 windows and scores: build it again"
        )
    return {"inputs": inputs.astype(np.int8), "outputs": outputs.astype(np.int8)}
