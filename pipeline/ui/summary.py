"""The table at the end of a run: figures, gates, where things lie, and what to try next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from rich import box
from rich.console import RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pipeline.ui.figures import (
    duration,
    milliseconds,
    number,
    operations,
    percent,
    side,
    size,
    words,
)

_LATENCY = "latency_ms_"
_REFUSED = "refused.bundle"
_ROW_FIGURES = {
    "ROC-AUC, mean over the files": "roc_auc",
    "the same of the best control": "control_roc_auc",
    "normal rows with an alarm": "false_alarm_rate",
    "anomalous rows without one": "missed_rate",
}


class SummaryExtras(TypedDict, total=False):
    """What the summary needs beyond report.json; whatever is not given is left out.

    Attributes:
        root: the folder that the run wrote below; paths and commands name what is there.
        repository_url: where devices reach the repository; the folder below the root if not given.
    """

    root: str
    repository_url: str


def summary_lines(report: Mapping[str, Any], extras: SummaryExtras) -> Iterator[RenderableType]:
    """What to print, in order; `report` is the content of report.json."""
    yield Rule()
    yield _verdict(report)
    yield _figures(report)
    if report["gates"]:
        yield _gates(report["gates"])
    yield from _advice(report["gates"])
    yield from _places(report, extras)
    yield from _commands(report, extras)


def _verdict(report: Mapping[str, Any]) -> Text:
    model, took = report["model"], f"in {duration(report['seconds'])}"
    if report["bundle"] is not None:
        name = f"{model['name']} {model['version'] or ''}".strip()
        return Text.assemble(("Released ", "bold green"), (name, "bold"), (f"  {took}", "dim"))
    refused = sum(not gate["passed"] for gate in report["gates"])
    why = f"{refused} of {len(report['gates'])} gates not passed" if refused else "no bundle made"
    return Text.assemble(
        ("Refused ", "bold red"), (model["name"], "bold"), f": {why}", (f"  {took}", "dim")
    )


def _figures(report: Mapping[str, Any]) -> Table:
    metrics, model = report["metrics"], report["model"]
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right", no_wrap=True)
    for name, key in [("float", "float"), ("int8", "int8"), ("teacher", "teacher")]:
        if metrics.get(f"{key}_accuracy") is not None:
            style = "bold" if key == "int8" else ""
            table.add_row(f"accuracy, {name}", Text(percent(metrics[f"{key}_accuracy"]), style))
    if metrics.get("detector") is not None:
        table.add_row("detector taken", Text(words(metrics["detector"]), "bold"))
    for profile, score in (metrics.get("nab") or {}).items():
        control = metrics["nab_control"][profile]
        table.add_row(f"NAB, {words(profile)}, and the best control", f"{score:.1f} {control:.1f}")
    for name, key in _ROW_FIGURES.items():
        if metrics.get(key) is not None:
            table.add_row(name, percent(metrics[key]))
    table.add_row("model file", size(model.get("bytes")))
    table.add_row("to download, compressed", size(model.get("download_bytes")))
    table.add_row("working memory (arena)", size(model.get("arena_bytes")))
    table.add_row("multiply-accumulates an inference", operations(model.get("macs")))
    for name, latency in sorted(metrics.items()):
        if name.startswith(_LATENCY):
            runtime = name.removeprefix(_LATENCY)
            table.add_row(f"latency, {runtime}", milliseconds(latency))
    return table


def _gates(gates: list[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("gate")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for gate in gates:
        value, limit, passed = gate["value"], gate["limit"], gate["passed"]
        verdict = Text("✓ passed", "green") if passed else Text("✗ refused", "bold red")
        table.add_row(
            Text(words(gate["name"])),
            number(value),
            f"{side(value, limit, passed)} {number(limit)}",
            verdict,
        )
    return table


def _advice(gates: list[Mapping[str, Any]]) -> Iterator[Text]:
    for gate in gates:
        if not gate["passed"] and gate.get("advice"):
            yield Text.assemble(("✗ ", "bold red"), f"{words(gate['name'])}: {gate['advice']}")


def _places(report: Mapping[str, Any], extras: SummaryExtras) -> Iterator[Text]:
    places = [("bundle", report["bundle"])]
    if "root" in extras:
        root = Path(extras["root"])
        folder = root / report["recipe"]
        below = [
            ("report", folder / "report.html"),
            ("repository", root / "repository"),
            ("trusted root", root / "root.json"),
        ]
        if report["bundle"] is None:
            below.insert(0, ("refused bundle", folder / _REFUSED))
        places += [(name, path) for name, path in below if path.exists()]
    for name, place in places:
        if place is not None:
            yield Text.assemble((f"{name:<15}", "dim"), str(place))


def _commands(report: Mapping[str, Any], extras: SummaryExtras) -> Iterator[Text]:
    root = Path(extras.get("root", ""))
    bundle = report["bundle"]
    commands = []
    refused = root / report["recipe"] / _REFUSED
    if bundle is not None:
        commands.append(_use(report, bundle))
    elif refused.exists():
        commands.append(_use(report, str(refused)))
    if bundle is not None and "root" in extras:
        repository = extras.get("repository_url", str(root / "repository"))
        install = ["install", "--repository", repository, "--trusted-root", str(root / "root.json")]
        install += ["--root", "DEVICE_DIR", report["model"]["name"]]
        commands.append(("put it on a device", install))
    if commands:
        yield Text()
        yield Text("Try next", "bold")
    for purpose, arguments in commands:
        yield Text(f"  # {purpose}", "dim")
        yield Text(f"  {shlex.join(['python', '-m', 'edge_agent', *arguments])}")


def _use(report: Mapping[str, Any], bundle: str) -> tuple[str, list[str]]:
    """How the bundle of a run is used: what for, and the agent's command."""
    recipe = report["recipe"]
    if recipe == "anomaly_detection" and report["metrics"].get("watches") == "signal":
        return "watch a signal", ["score", "--bundle", bundle, "--wav", "FILE.wav"]
    if recipe == "anomaly_detection":
        return "watch a log", ["score", "--bundle", bundle, "--csv", "FILE.csv"]
    if recipe == "image_classification":
        return "say what a picture shows", ["classify", "--bundle", bundle, "FILE.png"]
    return "find the words in a recording", ["spot", "--bundle", bundle, "FILE.wav"]
