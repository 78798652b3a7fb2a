"""What comes before a detector, as the features state it for whoever learns or scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from components.artifacts import read_json
from edge_agent.anomaly import normaliser
from edge_agent.anomaly.rows import Held, Rows
from edge_agent.anomaly.wandering import Wandering, WanderingSettings
from edge_agent.decoding import ADDED, decode
from edge_agent.features.series import VibrationFeatures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From rows as they come to what a detector sees.

    Attributes:
        normaliser: how a channel's normal level and spread are taken.
        wandering: which channels are seen against their own slow mean.
        window: rows that a network sees beside each other.
        vibration: how rows were made of a signal; None where they came as rows.
        senses: the places of the channels of each of several senses, of which one may be missing; None
            where the channels are one.
    """

    normaliser: Literal["moments", "robust"]
    wandering: WanderingSettings | None
    window: int
    vibration: VibrationFeatures | None
    senses: tuple[tuple[int, ...], ...] | None = dataclasses.field(default=None, metadata=ADDED)


def read_preprocessing(features: Path) -> Preprocessing:
    """That of a Features artifact of series."""
    return decode(Preprocessing, read_json(features / "features.json")["preprocessing"])


def seen_by_detectors(
    taught: Sequence[Rows], preprocessing: Preprocessing, *, warm_up_rows: int
) -> list[Rows]:
    """Normal rows of each log, normalised as a device does it.

    Args:
        taught: the rows that teach, by log.
        preprocessing: how.
        warm_up_rows: where there are some, each log has a normaliser of its own; else all share one.
    """
    held = [Held().process(rows) for rows in taught]
    groups = [[rows] for rows in held] if warm_up_rows else [held]
    seen = []
    for group in groups:
        together = normaliser.fit(np.concatenate(group), preprocessing.normaliser)
        for rows in group:
            normal = together.apply(rows)
            wandering = Wandering(preprocessing.wandering)
            wandering.learn(normal)
            seen.append(wandering.process(normal))
    return seen
