"""What edgetpu_compiler said of a model, and how that compares with the prediction: pure.

Read are both forms that version 16 gives: what it prints (with ``-s``) and the ``*_edgetpu.log``
beside its output. Both hold one table, under the heading ``Operator  Count  Status``.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from typing import TypedDict

from components.targets.graph import Graph
from components.targets.lint import Finding, Severity, Verdict

MAX_LOG_BYTES = 1024 * 1024
MAPPED = "Mapped to Edge TPU"
_VERSION = re.compile(r"^Edge TPU Compiler version (\S+)", re.MULTILINE)
_MODEL = re.compile(r"^Input(?: model)?: *(.+?) *$", re.MULTILINE)
_PARTITIONS = re.compile(r"^Number of Edge TPU subgraphs: *(\d{1,6}) *$", re.MULTILINE)
_HEADING = re.compile(r"^Operator +Count +Status *$")
_ROW = re.compile(r"^(\S+) +(\d{1,6}) +(\S.*?) *$")
_FAILURE = re.compile(
    r"^(?:Internal compiler error|Internal error|Invalid model|Model not quantized"
    r"|Compilation failed|Compilation child process failed).*$",
    re.MULTILINE,
)
# The compiler adds and folds these at the ends of the model.
_ADDED = "QUANTIZE"


class LogError(ValueError):
    """The text is no log of edgetpu_compiler, or of another model; the message says which."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """How many operators of one kind ended how, in the compiler's words."""

    op: str
    count: int
    status: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompilerLog:
    """One run of the compiler on one model.

    Attributes:
        version: of the compiler; empty if the log does not say.
        model: the file that it compiled; empty if the log does not say.
        partitions: Edge TPU subgraphs; None if the log does not say.
        rows: the table; empty if the compiler failed.
        failure: why it made nothing; empty if it did not fail.
    """

    version: str
    model: str
    partitions: int | None
    rows: tuple[Row, ...]
    failure: str


class Difference(TypedDict):
    """An operator and status that prediction and compiler count differently."""

    op: str
    status: str
    predicted: int
    compiled: int


class Comparison(TypedDict):
    """The compiler's log beside the prediction, ready for JSON.

    Attributes:
        version: of the compiler; empty if the log does not say.
        model: the file that it compiled; empty if the log does not say.
        failure: why it made nothing; empty if it did not fail.
        whole: the compiler mapped every operator of the model, in one partition.
        agrees: nothing is counted differently.
        differences: what is.
    """

    version: str
    model: str
    failure: str
    whole: bool
    agrees: bool
    differences: list[Difference]


def parse_log(text: str) -> CompilerLog:
    """Reads a log.

    Raises:
        LogError: if the text holds no result, or those of several models.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    text = "\n".join(lines)
    tables = [number for number, line in enumerate(lines) if _HEADING.match(line)]
    if len(tables) > 1:
        raise LogError(f"holds the results of {len(tables)} models: give the log of one")
    failed = _FAILURE.findall(text)
    rows = _rows(lines[tables[0] + 1 :]) if tables else ()
    if not rows and not failed:
        raise LogError(
            "holds no table of operators: compile with `edgetpu_compiler -s MODEL.tflite` and give "
            "what it prints, or the *_edgetpu.log that it writes"
        )
    partitions = _PARTITIONS.search(text)
    return CompilerLog(
        version=_first(_VERSION, text),
        model=_first(_MODEL, text),
        partitions=int(partitions.group(1)) if partitions else None,
        rows=rows,
        failure="" if rows else "; ".join(failed),
    )


def compare(log: CompilerLog, graph: Graph, verdict: Verdict) -> Comparison:
    """The compiler's table held against the lint's.

    Raises:
        LogError: if the log counts other kinds of operators than the model has.
    """
    names = {operator.name for operator in graph.operators}
    logged = {row.op for row in log.rows}
    if log.rows and (names ^ logged) - {_ADDED}:
        raise LogError(
            f"is of another model: it lists {', '.join(sorted(logged))}, and the model has "
            f"{', '.join(sorted(names))}"
        )
    predicted: collections.Counter[tuple[str, str]] = collections.Counter()
    for op in verdict["ops"]:
        predicted[op["name"], op["status"]] += op["count"]
    compiled: collections.Counter[tuple[str, str]] = collections.Counter()
    for row in log.rows:
        compiled[row.op, row.status] += row.count
    differences = [
        Difference(op=op, status=status, predicted=predicted[op, status], compiled=there)
        for (op, status) in sorted(predicted.keys() | compiled.keys())
        if (there := compiled[op, status]) != predicted[op, status]
    ]
    whole = all(status == MAPPED for _, status in compiled) and log.partitions in (None, 1)
    return Comparison(
        version=log.version,
        model=log.model,
        failure=log.failure,
        whole=whole and _totals(compiled) == _totals(predicted),
        agrees=not differences and not log.failure,
        differences=[] if log.failure else differences,
    )


def _totals(counts: collections.Counter[tuple[str, str]]) -> collections.Counter[str]:
    totals: collections.Counter[str] = collections.Counter()
    for (op, _), count in counts.items():
        if op != _ADDED:
            totals[op] += count
    return totals


def findings(log: CompilerLog, comparison: Comparison) -> list[Finding]:
    """What the compiler refused, and where the prediction was wrong."""
    found = []
    if log.failure:
        advice = "see that every tensor is int8 and every shape fixed, and that the model is small"
        found.append(_finding("error", f"edgetpu_compiler failed: {log.failure}", advice))
    for row in log.rows:
        if row.status != MAPPED:
            what = f"edgetpu_compiler: {row.count} {row.op}: {row.status}"
            found.append(_finding("error", what, _ADVICE.get(row.status, _OTHER_ADVICE)))
    if log.partitions not in (None, 0, 1):
        what = f"edgetpu_compiler made {log.partitions} subgraphs"
        found.append(_finding("error", what, _OTHER_ADVICE))
    for each in comparison["differences"]:
        what = (
            f"prediction and compiler differ on {each['op']}, {each['status']!r}: "
            f"{each['predicted']} predicted, {each['compiled']} compiled"
        )
        found.append(_finding("warning", what, "take the compiler's word"))
    return found


_OTHER_ADVICE = "replace that operator, or cut the model before it and run the rest on the CPU"
_ADVICE = {
    "More than one subgraph is not supported": "replace the operator before it that is not mapped",
    "Operation version not supported": "convert with an older TensorFlow, or use a plainer form",
    "Operation is working on an unsupported data type": "quantise the whole model to int8",
    "Tensor has unsupported rank": "reshape to three inner dimensions greater than 1 at most",
}


def _finding(severity: Severity, what: str, advice: str) -> Finding:
    return Finding(severity=severity, what=what, advice=advice)


def _rows(lines: list[str]) -> tuple[Row, ...]:
    rows = []
    for line in lines:
        found = _ROW.match(line)
        if found is None:
            if line.strip():
                break
            continue
        rows.append(Row(op=found.group(1), count=int(found.group(2)), status=found.group(3)))
    return tuple(rows)


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found.group(1) if found else ""
