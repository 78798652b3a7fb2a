"""The verdict of the lint, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.ui.figures import operations, percent, size


def lint_lines(report: Mapping[str, Any], model: str, title: str) -> Iterator[RenderableType]:
    """What to print, in order.

    Args:
        report: see `components.infra_validator.model_report.ModelReport`.
        model: the file, as the user named it.
        title: the target's, for people.
    """
    verdict = ("runs", "bold green") if report["ok"] else ("is refused", "bold red")
    yield Text.assemble((model, "bold"), " ", verdict, f" on {title} ({report['target']})")
    yield _operators(report["ops"])
    yield _figures(report)
    for finding in report["findings"]:
        refused = finding["severity"] == "error"
        mark = Text("✗ ", "bold red") if refused else Text("! ", "yellow")
        advice = f": {finding['advice']}" if finding["advice"] else ""
        yield Text.assemble(mark, f"{finding['what']}{advice}")
    log = report["edgetpu_log"]
    if log is not None and log["agrees"]:
        yield Text("✓ edgetpu_compiler's log and the prediction agree", "green")


def _operators(ops: list[Mapping[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("operator", no_wrap=True)
    table.add_column("version", justify="right", no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("status")
    for op in ops:
        table.add_row(Text(op["op"]), str(op["version"]), str(op["count"]), Text(op["status"]))
    return table


def _figures(report: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    arena = report["arena_bytes"]
    measured = f"{size(arena)} in TFLM" if arena is not None else report["arena_note"]
    table.add_row("file", size(report["bytes"]))
    table.add_row("working memory (arena)", Text(measured))
    table.add_row("multiply-accumulates", operations(report["macs"]))
    vela = report["vela"]
    if vela is not None:
        table.add_row("Vela, cycles an inference", operations(vela["cycles"]))
        table.add_row("Vela, SRAM", size(vela["sram_bytes"]))
        table.add_row("Vela, share on the NPU", percent(vela["npu_share"]))
    return table
