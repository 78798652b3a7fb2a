"""What a target makes of one .tflite file: the lint, and what the tools that are at hand say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypedDict

from components.base import UserError
from components.infra_validator.child_process import Failed
from components.infra_validator.loading import load
from components.infra_validator.vela import NotCompiled, estimate
from components.targets import edgetpu_log
from components.targets.budget import needs
from components.targets.flatbuffer import read_graph
from components.targets.graph import GraphError
from components.targets.lint import Finding, lint
from components.targets.profile import Profile

_TFLM = "tflm"


class OperatorLine(TypedDict):
    """What becomes of the operators of one kind and version."""

    op: str
    version: int
    count: int
    status: str


class ModelReport(TypedDict):
    """The answer, ready for JSON.

    Attributes:
        target: the profile's name.
        ok: every operator runs on the target, and nothing is refused.
        ops: the operators, sorted.
        arena_bytes: TFLM's arena with reference kernels; None if TFLM does not take the model.
        arena_note: why it is None; empty if it is not.
        macs: multiply-accumulates of one run.
        bytes: of the file.
        findings: everything refused, with what to change, then warnings.
        vela: Vela's estimate; None if the target is none of Vela's, or Vela refused.
        edgetpu_log: the compiler's log against the prediction; None if none was given.
    """

    target: str
    ok: bool
    ops: list[OperatorLine]
    arena_bytes: int | None
    arena_note: str
    macs: int
    bytes: int
    findings: list[Finding]
    vela: dict[str, Any] | None
    edgetpu_log: edgetpu_log.Comparison | None


def report_on(model: Path, profile: Profile, log: Path | None = None) -> ModelReport:
    """Lints `model` for the target and asks, in processes of their own, what can be asked here.

    That is: TFLM for the arena, the target's own interpreter whether it loads the model, and Vela.

    Args:
        model: the .tflite file.
        profile: the target.
        log: what edgetpu_compiler said of the model; its word counts before the prediction.

    Raises:
        UserError: if the model or the log cannot be read, or do not belong together.
    """
    try:
        graph = read_graph(model)
    except GraphError as e:
        raise UserError(str(e)) from e
    verdict = lint(graph, profile)
    found = list(verdict["findings"])
    comparison = None
    if log is not None:
        compiled = _read_log(log, profile)
        try:
            comparison = edgetpu_log.compare(compiled, graph, verdict)
        except edgetpu_log.LogError as e:
            raise UserError(f"{log}: {e}") from e
        if comparison["whole"]:
            found = [_outvoted(finding) for finding in found if finding["what"] != profile.caveat]
        found += edgetpu_log.findings(compiled, comparison)
    arena = load(_TFLM, model)
    arena_bytes = None if isinstance(arena, Failed) else arena.arena_bytes
    found += _loading_findings(model, profile, arena)
    found += _budget_findings(profile, arena_bytes, graph.size_bytes, graph.macs)
    compiled_by_vela, vela_findings = _vela(model, profile)
    found += vela_findings
    return ModelReport(
        target=profile.name,
        ok=all(finding["severity"] != "error" for finding in found),
        ops=[
            OperatorLine(
                op=op["name"], version=op["version"], count=op["count"], status=op["status"]
            )
            for op in verdict["ops"]
        ],
        arena_bytes=arena_bytes,
        arena_note=f"TFLM does not load it: {arena.reason}" if isinstance(arena, Failed) else "",
        macs=graph.macs,
        bytes=graph.size_bytes,
        findings=sorted(found, key=lambda finding: finding["severity"] != "error"),
        vela=compiled_by_vela,
        edgetpu_log=comparison,
    )


def _outvoted(finding: Finding) -> Finding:
    return Finding(severity="warning", what=finding["what"], advice=finding["advice"])


def _read_log(path: Path, profile: Profile) -> edgetpu_log.CompilerLog:
    if not profile.rules.one_partition:
        raise UserError(
            f"{path}: a log of edgetpu_compiler says nothing of {profile.name}: "
            "leave --edgetpu-log out, or give --target edgetpu"
        )
    with path.open("rb") as file:
        data = file.read(edgetpu_log.MAX_LOG_BYTES + 1)
    if len(data) > edgetpu_log.MAX_LOG_BYTES:
        raise UserError(f"{path}: larger than {edgetpu_log.MAX_LOG_BYTES} bytes: not such a log")
    try:
        return edgetpu_log.parse_log(data.decode("utf-8", "replace"))
    except edgetpu_log.LogError as e:
        raise UserError(f"{path}: {e}") from e


def _loading_findings(model: Path, profile: Profile, by_tflm: object) -> list[Finding]:
    if profile.interpreter is None:
        return []
    loaded = by_tflm if profile.interpreter == _TFLM else load(profile.interpreter, model)
    if not isinstance(loaded, Failed):
        return []
    what = f"{profile.interpreter}, installed here, does not load the model: {loaded.reason}"
    return [Finding(severity="error", what=what, advice="change what that message names")]


def _budget_findings(
    profile: Profile, arena_bytes: int | None, flash_bytes: int, macs: int
) -> list[Finding]:
    found = []
    for need in needs(profile, arena_bytes=arena_bytes, flash_bytes=flash_bytes, macs=macs):
        if need.fits:
            continue
        needed = "an unknown number of" if need.needed is None else f"{need.needed:,}"
        what = f"{need.what}: {needed} {need.unit}, and {profile.title} has {need.limit:,}"
        found.append(Finding(severity="error", what=what, advice=need.advice))
    return found


def _vela(model: Path, profile: Profile) -> tuple[dict[str, Any] | None, list[Finding]]:
    if profile.vela is None:
        return None, []
    compiled = estimate(model, profile.vela)
    if isinstance(compiled, NotCompiled):
        what = f"Vela does not compile it: {compiled.reason}"
        return None, [Finding(severity="error", what=what, advice="change what that message names")]
    found = []
    if compiled.npu_share < 1.0:
        what = f"Vela leaves {1.0 - compiled.npu_share:.0%} of the operators to the processor"
        advice = "run `vela --show-cpu-operations MODEL.tflite` to see which, and why"
        found.append(Finding(severity="warning", what=what, advice=advice))
    return dataclasses.asdict(compiled), found
