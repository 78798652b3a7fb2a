"""How the model does on its runtimes and targets, as rows for the template."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.ui.figures import milliseconds, number, operations, percent, size


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuntimeRow:
    """One runtime, held against TFLite's reference kernels."""

    name: str
    version: str
    latency: str
    difference: str
    equal: bool
    verdict: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """Everything that infra_validation.json says, as text.

    Attributes:
        runtimes: the runtimes that ran the model.
        parity: how TensorFlow Lite for Microcontrollers compares; empty if it was not run.
        targets: per target: name, whether it can run the model, its operators and findings.
    """

    runtimes: list[RuntimeRow]
    parity: str
    targets: list[Mapping[str, Any]]


def device(infra: Mapping[str, Any]) -> Device:
    """The content of infra_validation.json as text."""
    return Device(
        runtimes=[_runtime(name, entry) for name, entry in sorted(infra["runtimes"].items())],
        parity=_parity(infra.get("tflm_parity")),
        targets=infra["targets"],
    )


def _runtime(name: str, entry: Mapping[str, Any]) -> RuntimeRow:
    steps, equal = entry["max_lsb"], entry["decisions_equal"]
    if steps is None:
        return RuntimeRow(
            name=name, version="", latency="–", difference="–", equal=False, verdict="did not run"
        )
    return RuntimeRow(
        name=name,
        version=entry["version"],
        latency=milliseconds(entry.get("latency_ms")),
        difference="none" if steps == 0 else f"at most {number(steps)} of 256 steps",
        equal=equal >= 1.0,
        verdict=f"{percent(float(equal))} equal",
    )


def _parity(parity: Mapping[str, Any] | None) -> str:
    if parity is None or not parity["rows"]:
        return ""
    return (
        f"TensorFlow Lite for Microcontrollers gave the same score as TFLite's reference kernels "
        f"in {percent(parity['equal_share'])} of all scores over {number(parity['rows'])} inputs, "
        f"and was off by at most {number(parity['max_lsb'])} of 256 steps: {parity['verdict']}."
    )


def cost_rows(
    conversion: Mapping[str, Any] | None, infra: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    """What the int8 model costs, (what, value), from conversion.json and infra_validation.json."""
    costs = []
    if conversion is not None:
        costs += [
            ("Model file", size(conversion["bytes"])),
            ("Model file, compressed for download", size(conversion["download_bytes"])),
            ("Tensors left in float", number(len(conversion["float_tensors"]))),
            ("Multiply-accumulates an inference", operations(conversion["macs"])),
        ]
    if infra is not None:
        costs.append(("Arena (TFLM, reference kernels)", size(infra["arena_bytes"])))
        vela = infra.get("vela") or {}
        name = vela.get("accelerator", "")
        if vela:
            costs += [
                (f"{name}, estimate: cycles an inference", operations(vela["cycles"])),
                (f"{name}, estimate: SRAM", size(vela["sram_bytes"])),
                (f"{name}, estimate: share on the accelerator", percent(vela["npu_share"])),
                (
                    f"{name}, estimate: inferences a second",
                    number(round(vela["inferences_per_second"])),
                ),
            ]
    return costs
