"""The gates that InfraValidator decides: pure, from what was measured to what is demanded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from components.artifacts import Gate
from components.infra_validator.child_process import Failed
from components.infra_validator.measure import Measured
from components.infra_validator.parity import Parity
from components.targets.budget import needs
from components.targets.graph import Graph
from components.targets.lint import Verdict
from components.targets.profile import Profile


def no_float_gate(graph: Graph) -> Gate:
    """No tensor is floating point."""
    names = graph.float_tensors
    shown = ", ".join(names[:3])
    return Gate(
        name="no_float_tensor",
        value=float(len(names)),
        limit=0.0,
        passed=not names,
        advice=f"replace the layers that have no int8 form ({shown})" if names else "",
    )


def runtime_gates(runs: Mapping[str, Measured | Failed]) -> list[Gate]:
    """Every runtime loads the model and runs it to the end."""
    return [
        Gate(
            name=f"runs:{runtime}",
            value=float(isinstance(run, Measured)),
            limit=1.0,
            passed=isinstance(run, Measured),
            advice=f"{runtime} did not run it: {run.reason}" if isinstance(run, Failed) else "",
        )
        for runtime, run in runs.items()
    ]


def target_gate(verdict: Verdict) -> Gate:
    """Every operator, version, rank and type is one that the target takes."""
    errors = [f for f in verdict["findings"] if f["severity"] == "error"]
    return Gate(
        name=f"target:{verdict['target']}",
        value=float(len(errors)),
        limit=0.0,
        passed=verdict["ok"],
        advice="; ".join(f"{f['what']}: {f['advice']}" for f in errors[:3]),
    )


def parity_gate(parity: Parity) -> Gate:
    """TFLM agrees with TFLite's reference kernels, or is 1 LSB off with the same decisions."""
    passed = parity.verdict != "different"
    advice = "see which operator differs: run the model cut short after each layer"
    if parity.rows == 0:
        advice = "TFLM or the reference kernels did not run the model: see the runs gates"
    return Gate(
        name="tflm_parity",
        value=float(parity.max_lsb),
        limit=1.0,
        passed=passed,
        advice="" if passed else advice,
    )


def budget_gates(
    profile: Profile, *, arena_bytes: int | None, flash_bytes: int, macs: int
) -> Iterable[Gate]:
    """The model against each limit that the profile sets; an unknown arena is too large."""
    held = needs(profile, arena_bytes=arena_bytes, flash_bytes=flash_bytes, macs=macs)
    for need in held:
        yield Gate(
            name=f"{need.what}:{profile.name}",
            value=-1.0 if need.needed is None else float(need.needed),
            limit=float(need.limit),
            passed=need.fits,
            advice="" if need.fits else need.advice,
        )
