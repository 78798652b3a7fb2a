"""The parts that model cards of every kind of network share, and how they write figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def sizes(conversion: Json, infra_validation: Json) -> str:
    """The section on bytes, arena and work, from conversion.json and infra_validation.json."""
    operators = ", ".join(
        f"{op['name']} v{op['version']} ({op['count']})" for op in conversion["operators"]
    )
    arena = infra_validation["arena_bytes"]
    rows = [
        ["model file", f"{conversion['bytes']} bytes"],
        ["model file, compressed for download", f"{conversion['download_bytes']} bytes"],
        ["arena (TFLM, reference kernels)", "not measured" if arena is None else f"{arena} bytes"],
        ["multiply-accumulates an inference", str(infra_validation["macs"])],
        ["tensors left in float", str(len(conversion["float_tensors"]))],
    ]
    return f"## Size and work\n\n{table(['what', 'value'], rows)}\n\nOperators: {operators}."


def runtimes(infra_validation: Json) -> str:
    """The section on runtimes and targets, from infra_validation.json."""
    ran = [
        [text(name), text(e["version"]), str(e["max_lsb"]), percent(e["decisions_equal"])]
        if e["version"] is not None
        else [text(name), "did not run", "", ""]
        for name, e in sorted(infra_validation["runtimes"].items())
    ]
    targets = [
        f"- {text(t['target'])}: {'fits' if t['ok'] else 'does not fit'}"
        + "".join(f"; {text(f['what'])}" for f in t["findings"])
        for t in infra_validation["targets"]
    ]
    header = ["runtime", "version", "largest difference (of 256 steps)", "same decisions"]
    return (
        "## Runtimes and targets\n\nHeld against TFLite's reference kernels on the same inputs.\n\n"
        + table(header, ran)
        + "\n\n"
        + "\n".join(targets)
    ).rstrip()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float | None) -> str:
    """A share (0 to 1) in percent."""
    return "not defined" if share is None else f"{100 * share:.1f}%"


def text(value: Any) -> str:
    """`value` so that Markdown neither breaks a table over it nor reads markup or HTML in it."""
    made = " ".join(str(value).split())
    for character in "\\`*[]<>|#":
        made = made.replace(character, "\\" + character)
    return made.replace("_", "\\_") if made.startswith("_") else made
