"""Holds a model against a target profile: pure, from data to data.

``ok`` means that every operator runs on the target and nothing is refused. For a profile with
``one_partition`` the operators are taken in execution order, and none is taken after the first that
is refused, as a compiler does that makes one partition.
"""

from __future__ import annotations

import collections
from typing import Literal, TypedDict

from components.targets.graph import Graph, Operator, Tensor
from components.targets.profile import Profile

Severity = Literal["error", "warning"]


class Finding(TypedDict):
    """One thing to know about a model on a target."""

    severity: Severity
    what: str
    advice: str


class OperatorVerdict(TypedDict):
    """What becomes of the operators of one name and version."""

    name: str
    version: int
    count: int
    status: str


class Verdict(TypedDict):
    """The lint's answer, ready for JSON."""

    target: str
    ok: bool
    ops: list[OperatorVerdict]
    findings: list[Finding]


def lint(graph: Graph, profile: Profile) -> Verdict:
    """Whether `graph` runs on the target of `profile`, and what to change if not."""
    findings: dict[tuple[str, str], Finding] = {}
    counts: collections.Counter[tuple[str, int, str]] = collections.Counter()
    refused = False
    for operator in graph.operators:
        status, finding = _judge(operator, graph, profile)
        if refused and profile.rules.one_partition and finding is None:
            status = profile.statuses.after_refusal
        if finding is not None:
            findings.setdefault((status, finding["what"]), finding)
            refused = refused or finding["severity"] == "error"
        counts[operator.name, operator.version, status] += 1
    everything = [
        *findings.values(),
        *_float_findings(graph, profile),
        *_shape_findings(graph, profile),
    ]
    if profile.caveat:
        everything.append(_finding("warning", profile.caveat, ""))
    return Verdict(
        target=profile.name,
        ok=all(finding["severity"] != "error" for finding in everything),
        ops=[
            OperatorVerdict(name=name, version=version, count=count, status=status)
            for (name, version, status), count in sorted(counts.items())
        ],
        findings=everything,
    )


def _judge(operator: Operator, graph: Graph, profile: Profile) -> tuple[str, Finding | None]:
    status, finding = _refusal(operator, graph, profile)
    processor = profile.fallback
    if finding is None or processor is None:
        return status, finding
    _, refused_too = _refusal(operator, graph, processor)
    if refused_too is not None:
        return status, refused_too
    what = f"{operator.name} does not run on {profile.title} but beside it, on {processor.title}"
    return profile.statuses.fallback, _finding("warning", what, finding["advice"])


def _refusal(operator: Operator, graph: Graph, profile: Profile) -> tuple[str, Finding | None]:
    name, words, rules = operator.name, profile.statuses, profile.rules
    versions = profile.operators.get(name)
    if versions is None:
        advice = profile.advice.get(name, "use an operator that the target has, or another target")
        return words.operator, _finding("error", f"{profile.title} has no {name}", advice)
    if not versions[0] <= operator.version <= versions[1]:
        what = (
            f"{name} is version {operator.version}, and {profile.title} has "
            f"versions {versions[0]} to {versions[1]}"
        )
        advice = profile.advice.get(name, f"use the plain form of {name}, or a newer runtime")
        return words.version, _finding("error", what, advice)
    tensors = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    for tensor in tensors:
        if tensor.dtype not in rules.dtypes:
            what = f"{name} has a {tensor.dtype} tensor, which {profile.title} does not take"
            advice = "quantise the whole model to int8, inputs and outputs too"
            return words.dtype, _finding("error", what, advice)
    if name in rules.float_only and any("float" not in tensor.dtype for tensor in tensors[:1]):
        advice = profile.advice.get(name, "use an operator with an int8 kernel")
        what = f"{name} has no {tensors[0].dtype} kernel on {profile.title}, only float32"
        return words.dtype, _finding("error", what, advice)
    for tensor in tensors:
        if _too_deep(tensor, profile):
            what = f"{name} has a tensor of shape {list(tensor.shape)}: {_rank_rule(profile)}"
            return words.rank, _finding("error", what, "reshape or split it into fewer dimensions")
    return words.supported, None


def _too_deep(tensor: Tensor, profile: Profile) -> bool:
    if len(tensor.shape) > profile.rules.max_rank:
        return True
    wide = profile.rules.wide_dimensions
    # Constants (weights) are laid out by the compiler; only what flows must fit.
    return bool(wide) and not tensor.constant and any(d > 1 for d in tensor.shape[:-wide])


def _rank_rule(profile: Profile) -> str:
    rule = f"{profile.title} takes at most {profile.rules.max_rank} dimensions"
    if profile.rules.wide_dimensions:
        rule += f", and only the {profile.rules.wide_dimensions} innermost greater than 1"
    return rule


def _float_findings(graph: Graph, profile: Profile) -> list[Finding]:
    names, severity = graph.float_tensors, profile.rules.float_tensors
    if not names or severity == "allowed":
        return []
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    advice = "convert with int8 inputs, outputs and kernels throughout"
    return [_finding(severity, f"{len(names)} floating-point tensors: {shown}", advice)]


def _shape_findings(graph: Graph, profile: Profile) -> list[Finding]:
    batch_only, dynamic = False, []
    for index, tensor in enumerate(graph.tensors):
        unknown = [axis for axis, size in enumerate(tensor.signature) if size < 0]
        if unknown == [0] and tensor.shape[0] == 1:
            batch_only = True
        elif unknown:
            dynamic.append(tensor.name or f"tensor {index}")
    found = []
    if batch_only:
        what = "the batch dimension is dynamic; at run time it is 1"
        found.append(_finding("warning", what, "convert with the batch fixed to 1"))
    if dynamic:
        what = f"{len(dynamic)} tensors of dynamic shape: {', '.join(dynamic[:3])}"
        advice = "give every input a fixed shape before conversion"
        found.append(_finding(profile.rules.dynamic_shapes, what, advice))
    return found


def _finding(severity: Severity, what: str, advice: str) -> Finding:
    return Finding(severity=severity, what=what, advice=advice)
