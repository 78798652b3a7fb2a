"""Which detector is taken, and why: pure, from what was measured of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from components.anomaly_trainer.component import BEST, AnomalyTrainerParameters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compared:
    """What was measured of one detector.

    Attributes:
        quality: over the logs that the choice is made on (components.anomaly_trainer.quality).
        files: ROC-AUC by log, of those that have one.
        stretch: of the threshold, which comes nearest to the aims with this detector.
        strays: logs that it does not fit (components.anomaly_trainer.calibration).
        false_alarm_rate: share of normal rows at that threshold or above it, mean over the logs.
        missed_rate: share of anomalous rows below it.
        bytes: parameters and network.
        state_bytes: what a stream keeps.
        arena_bytes: TFLM arena of its network; 0 without one, None where TFLM did not run it.
        macs: multiply-accumulates of a row.
        row_us: CPU time of a row that comes alone, microseconds, on the machine of the run.
        int8_drop: what int8 lost of the float network's mean ROC-AUC; None without a network.
        int8_file_drop: the most that it lost on one log.
        objections: why it may not be taken; empty if it may.
    """

    quality: float | None
    files: dict[str, float]
    stretch: float
    false_alarm_rate: float | None
    missed_rate: float | None
    bytes: int
    state_bytes: int
    arena_bytes: int | None
    macs: int
    row_us: float
    int8_drop: float | None = None
    int8_file_drop: float | None = None
    strays: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The detector that is taken, and the reason as a sentence."""

    name: str
    why: str


def objections(compared: Compared, parameters: AnomalyTrainerParameters) -> tuple[str, ...]:
    """What speaks against a detector whatever its quality."""
    p = parameters
    arena = p.most_arena_bytes + 1 if compared.arena_bytes is None else compared.arena_bytes
    limits: Sequence[tuple[str, float, float]] = (
        ("bytes", compared.bytes, p.most_bytes),
        ("bytes a stream", compared.state_bytes, p.most_state_bytes),
        ("bytes of arena", arena, p.most_arena_bytes),
        ("multiply-accumulates a row", compared.macs, p.most_macs),
        ("mean ROC-AUC lost to int8", compared.int8_drop or 0.0, p.max_int8_drop),
        ("ROC-AUC lost to int8 on a file", compared.int8_file_drop or 0.0, p.max_int8_file_drop),
    )
    return tuple(
        f"{what}: {_plain(found)}, and {_plain(limit)} is the limit"
        for what, found, limit in limits
        if found > limit
    )


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def choose(
    compared: Mapping[str, Compared], parameters: AnomalyTrainerParameters, measure: str
) -> Choice:
    """Takes the cheapest of those within the budget that are as good as the best of them.

    Args:
        compared: what was measured, by name.
        parameters: which one is asked for, and what counts as as good.
        measure: what the quality is called.
    """
    if parameters.detector != BEST:
        return Choice(name=parameters.detector, why="AnomalyTrainer.detector asks for it")
    within = {name: c for name, c in compared.items() if not c.objections} or dict(compared)
    quality = {name: c.quality or 0.0 for name, c in within.items()}
    best = max(quality, key=lambda name: quality[name])
    as_good = [name for name in within if quality[name] >= quality[best] - parameters.as_good]
    taken = min(as_good, key=lambda name: _cost(within[name]))
    if all(c.objections for c in compared.values()):
        return Choice(name=taken, why="no detector is within the budget, and this is the best")
    cost = _cost_text(within[taken])
    if taken == best:
        return Choice(
            name=taken,
            why=f"its {measure} of {quality[taken]:.3f} is the best within the budget: {cost}",
        )
    return Choice(
        name=taken,
        why=f"its {measure} of {quality[taken]:.3f} is within {parameters.as_good:g} of the best "
        f"({best}: {quality[best]:.3f}), and it is the cheapest of those: {cost} against "
        f"{_cost_text(within[best])}",
    )


def _cost(compared: Compared) -> tuple[int, int]:
    return compared.bytes + compared.state_bytes + (compared.arena_bytes or 0), compared.macs


def _cost_text(compared: Compared) -> str:
    return f"{_cost(compared)[0]:,} B and {compared.macs:,} multiply-accumulates a row"
