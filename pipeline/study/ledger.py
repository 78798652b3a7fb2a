"""What a study has found out so far, on disk after each run, so that a killed one goes on."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_agent.decoding import DecodeError, decode


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """A demand on a release that a candidate did not meet.

    Attributes:
        gate: what was demanded: the name of a gate, or of a figure that the user limits.
        value: what was measured.
        limit: what it was held against.
        advice: what to try.
    """

    gate: str
    value: float
    limit: float
    advice: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One run of one candidate.

    Attributes:
        candidate: its key.
        rung: ``0``, ``1``, ``final``, ``measured`` (on runtimes), ``release`` or ``late`` (as ``0``, in the
            time that the release left).
        seed: of its training steps.
        examples: that the Trainer saw.
        seconds: how long it took.
        step_seconds: how long each of its steps took that did not come from the cache, by its id.
        metrics: what they measured.
        rounding: how many times the Quantizer's share of the examples it saw.
        refusals: what it did not meet, of a ``release``, and of ``measured`` as far as runtimes tell.
        failed: why it has no metrics; empty if it has.
    """

    candidate: str
    rung: str
    seed: int
    examples: int
    seconds: float
    step_seconds: dict[str, float]
    metrics: dict[str, float]
    rounding: int = 1
    refusals: tuple[Refusal, ...] = ()
    failed: str = ""

    @property
    def judged(self) -> bool:
        """Whether it went through every gate, and so left a bundle."""
        return self.rung == "release" and "int8_accuracy" in self.metrics

    @property
    def released(self) -> bool:
        """Whether it is a release that every gate let through."""
        return self.rung == "release" and not self.failed and not self.refusals


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Content:
    study: str
    records: tuple[Record, ...]
    plan: dict[str, int]
    other_seconds: float


class Ledger:
    """The records of one study, by what it is about.

    Args:
        path: the file; one of another study is begun anew.
        study: digest of what decides a study: data, techniques, settings, budget.
    """

    def __init__(self, path: Path, study: str) -> None:
        self._path = path
        self._study = study
        self.records: list[Record] = []
        self.plan: dict[str, int] = {}
        self.other_seconds = 0.0
        try:
            content = decode(_Content, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, DecodeError):
            return
        if content.study == study:
            self.records = list(content.records)
            self.plan = dict(content.plan)
            self.other_seconds = content.other_seconds

    @property
    def seconds(self) -> float:
        """What was spent so far."""
        return self.other_seconds + sum(record.seconds for record in self.records)

    def find(self, candidate: str, rung: str, seed: int) -> Record | None:
        """The record of a run, if it was made."""
        for record in self.records:
            if (record.candidate, record.rung, record.seed) == (candidate, rung, seed):
                return record
        return None

    def add(self, record: Record) -> None:
        """Adds a run, durably."""
        self.records.append(record)
        self._write()

    def forget(self, records: Sequence[Record]) -> None:
        """Takes runs out, so that they are made again, and the time that they took."""
        self.records = [record for record in self.records if record not in records]
        self._write()

    def decide(self, name: str, value: int) -> int:
        """The value that was decided for `name` before, or else `value`, which is then kept."""
        if name not in self.plan:
            self.plan[name] = value
            self._write()
        return self.plan[name]

    def spend(self, seconds: float) -> None:
        """Counts time that belongs to no candidate."""
        self.other_seconds += seconds
        self._write()

    def _write(self) -> None:
        content: Mapping[str, Any] = {
            "study": self._study,
            "records": [dataclasses.asdict(record) for record in self.records],
            "plan": self.plan,
            "other_seconds": self.other_seconds,
        }
        aside = self._path.with_name(f".{self._path.name}")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self._path)
