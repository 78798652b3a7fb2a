"""What a study comes to: a row a candidate, what each knob does, and what is worth a release. Pure."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from pipeline.study.front import Point, front, within
from pipeline.study.ledger import Record
from pipeline.study.study import Result
from pipeline.study.techniques import Candidate, Saves

# What a limit may be set to, by the name of the figure that it holds.
LIMITS = ("bytes", "download_bytes", "arena_bytes", "macs")

# Longer training made an agreement of 0.967 one of 0.986, and a release needs 0.97.
_LIKELY_AGREEMENT = 0.93


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A candidate in the table; figures of several seeds are means.

    Attributes:
        key: of the candidate.
        name: of the candidate.
        saves: what its technique is good for.
        rung: ``final``, ``1`` or ``0``; so also of what was tried late.
        examples: that the Trainer saw.
        seeds: how many.
        val_accuracy: on validation clips and their views; what choices are made by.
        test_accuracy: on test clips as recorded, as `edge_agent evaluate` gives it.
        test_range: lowest and highest of the seeds.
        figures: bytes, download_bytes, macs; of the final rung arena_bytes, latencies, cycles and agreement.
        refused: gates that its check on the runtimes did not pass.
        on_front: whether no other of the final rung is better in everything.
    """

    key: str
    name: str
    saves: Saves
    rung: str
    examples: int
    seeds: int
    val_accuracy: float
    test_accuracy: float
    test_range: tuple[float, float]
    figures: Mapping[str, float]
    refused: tuple[str, ...]
    on_front: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What a knob does, at the few examples and the one seed of rung 0, or late.

    Attributes:
        technique: whose knob it is.
        knob: its name.
        points: (value, validation accuracy, bytes, download bytes), the default first.
    """

    technique: str
    knob: str
    points: tuple[tuple[str, float, float, float], ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """What is worth a release, the best first, and why; nothing if none keeps the limits."""

    ranked: tuple[Candidate, ...]
    reason: str


def rows(candidates: Sequence[Candidate], result: Result) -> list[Row]:
    """A row a candidate that was tried: the final rung first, each rung from the most accurate on."""
    final = {c.key for c in result.final}
    made = [
        _row(c, result.tried[c.key], result.measured.get(c.key))
        for c in candidates
        if c.key in result.tried
    ]
    best = {p.name for p in front([_point(row) for row in made if row.key in final])}
    order = {"final": 0, "1": 1, "0": 2}
    marked = [dataclasses.replace(row, on_front=row.key in best) for row in made]
    return sorted(marked, key=lambda row: (order[row.rung], -row.val_accuracy))


def sensitivities(
    candidates: Sequence[Candidate],
    defaults: Mapping[tuple[str, str], str],
    records: Sequence[Record],
) -> list[Sensitivity]:
    """What each knob did in rung 0 or late, where it was turned at all.

    Args:
        candidates: all.
        defaults: the default value of each knob, by technique and knob.
        records: of the ledger.
    """
    few = [r for r in records if r.rung in ("0", "late") and not r.failed]
    first = {r.candidate: r.metrics for r in few}
    found = []
    for (technique, knob), default in defaults.items():
        of = [c for c in candidates if c.technique == technique and c.turned in ("", knob)]
        points = tuple(
            (
                c.value or default,
                first[c.key]["val_accuracy"],
                first[c.key]["bytes"],
                first[c.key]["download_bytes"],
            )
            for c in sorted(of, key=lambda c: c.turned != "")
            if c.key in first
        )
        if len(points) > 1:
            found.append(Sensitivity(technique=technique, knob=knob, points=points))
    return found


def choose(
    candidates: Sequence[Candidate],
    table: Sequence[Row],
    limits: Mapping[str, float],
) -> Choice:
    """Those of the final rung that keep every limit, the most accurate on validation clips first.

    Those that a gate will hardly let through come after the others: they decide too unlike their float
    version, or did not pass the check on the runtimes.
    """
    final = [row for row in table if row.rung == "final"]
    fitting = [row for row in final if _keeps(row, limits)]
    said = ", ".join(f"{name} at most {limit:,.0f}" for name, limit in limits.items())
    if not final:
        return Choice(ranked=(), reason="no candidate came through the final rung")
    if not fitting:
        nearest = min(final, key=lambda row: _excess(row, limits))
        over = ", ".join(
            f"{name} {nearest.figures[name]:,.0f}" if name in nearest.figures else f"{name} unknown"
            for name, limit in limits.items()
            if nearest.figures.get(name, float("inf")) > limit
        )
        reason = (
            f"none of the {len(final)} candidates of the final rung keeps to {said}; "
            f"nearest is {nearest.name} ({over})"
        )
        return Choice(ranked=(), reason=reason)
    order = sorted(fitting, key=lambda row: (not _likely(row), -row.val_accuracy))
    best = order[0]
    kept = f"{len(fitting)} of {len(final)} keep to {said}" if limits else "no limit was set"
    reason = (
        f"{kept}; {best.name} is the most accurate of them on validation clips "
        f"({best.val_accuracy:.3f}, mean of {best.seeds} seed{'s' if best.seeds > 1 else ''})"
    )
    unlike = [row.name for row in order if row.val_accuracy > best.val_accuracy]
    if unlike:
        reason += f"; the gates would hardly let {' and '.join(unlike)} through"
    elif len(order) > 1:
        reason += f", before {order[1].name} ({order[1].val_accuracy:.3f})"
    by_key = {c.key: c for c in candidates}
    return Choice(ranked=tuple(by_key[row.key] for row in order), reason=reason)


def _row(candidate: Candidate, records: Sequence[Record], measured: Record | None) -> Row:
    tests = [r.metrics["test_accuracy"] for r in records]
    figures = {
        name: statistics.fmean(r.metrics[name] for r in records)
        for name in ("bytes", "download_bytes", "macs")
    }
    if measured is not None:
        figures |= {
            name: value
            for name, value in measured.metrics.items()
            if name in ("arena_bytes", "vela_cycles", "agreement") or name.startswith("latency_ms_")
        }
    return Row(
        key=candidate.key,
        name=candidate.name,
        saves=candidate.saves,
        rung="0" if records[0].rung == "late" else records[0].rung,
        examples=records[0].examples,
        seeds=len(records),
        val_accuracy=statistics.fmean(r.metrics["val_accuracy"] for r in records),
        test_accuracy=statistics.fmean(tests),
        test_range=(min(tests), max(tests)),
        figures=figures,
        refused=tuple(r.gate for r in measured.refusals) if measured is not None else (),
        on_front=False,
    )


def _point(row: Row) -> Point:
    costs = {name: row.figures[name] for name in ("bytes", "download_bytes", "macs")}
    return Point(name=row.key, accuracy=row.val_accuracy, costs=costs)


def _likely(row: Row) -> bool:
    return not row.refused and row.figures.get("agreement", 1.0) >= _LIKELY_AGREEMENT


def _keeps(row: Row, limits: Mapping[str, float]) -> bool:
    known = {name: row.figures.get(name, float("inf")) for name in limits}
    return within(Point(name=row.key, accuracy=row.val_accuracy, costs=known), limits)


def _excess(row: Row, limits: Mapping[str, float]) -> float:
    return max(
        row.figures.get(name, float("inf")) / max(1.0, limit) for name, limit in limits.items()
    )
