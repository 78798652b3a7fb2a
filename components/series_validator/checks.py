"""What is amiss in surveys of logs: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from components.example_validator.anomaly import Anomaly
from components.series_validator.component import SeriesValidatorParameters
from components.series_validator.survey import Survey

_FEW = 3  # machines that a channel's usual level is taken of
_UNITS = 3.0  # powers of ten


def check_log(
    found: Survey, channels: Sequence[str], parameters: SeriesValidatorParameters
) -> Iterator[Anomaly]:
    """What one log shows by itself."""

    def warning(what: str, advice: str) -> Anomaly:
        return Anomaly(severity="warning", what=what, where=found.name, advice=advice)

    if found.backwards:
        yield warning(
            f"{found.backwards} times the time goes backwards",
            "rows are taken in the order of the file: sort them if that is not theirs",
        )
    if found.repeated:
        yield warning(f"{found.repeated} rows stand twice", "leave one of each out")
    if found.gaps:
        yield warning(
            f"{found.gaps} gaps of more than ten times the usual step",
            "rows are taken one after the other: cut the file where the machine stood",
        )
    if found.anomalous > 0.9 and np.isfinite(found.middle).all():
        yield warning(
            f"{100 * found.anomalous:.0f}% of its rows are labelled anomalous", "check the labels"
        )
    for place, channel in enumerate(channels):
        if found.missing[place] > parameters.missing:
            yield warning(
                f"{channel}: {100 * found.missing[place]:.1f}% of the values are no numbers",
                "the last value is held wherever one is missing",
            )
        if found.still[place] >= found.rows > 1:
            yield warning(f"{channel}: never changes", "leave it out of ExampleGen.channels")
        elif found.still[place] > parameters.still_share * found.rows:
            yield warning(
                f"{channel}: keeps one value for {found.still[place]} rows",
                "does the sensor still work?",
            )
        moved = abs(found.later[place] - found.middle[place])
        if moved > parameters.drift * max(found.spread[place], 1e-3 * abs(found.middle[place])):
            yield warning(
                f"{channel}: rows that are not labelled lie around {found.later[place]:.4g}, those "
                f"that teach around {found.middle[place]:.4g}",
                "it will alarm there: give longer normal running, or label what is anomalous",
            )


def check_units(
    surveys: Sequence[Survey], channels: Sequence[str], known: Mapping[str, Any]
) -> Iterator[Anomaly]:
    """Logs in which a channel is about a thousand times what it is in the others, or was before.

    Args:
        surveys: of all logs.
        channels: their columns.
        known: usual level by channel, of an earlier run; may be empty.
    """
    for place, channel in enumerate(channels):
        levels = np.array([abs(found.middle[place]) for found in surveys])
        seen = levels[np.isfinite(levels) & (levels > 0)]
        usual = known.get(channel)
        if usual is None and len(seen) >= _FEW:
            usual = float(np.median(seen))
        if not usual:
            continue
        for found, level in zip(surveys, levels.tolist(), strict=True):
            if level > 0 and abs(abs(np.log10(level / usual)) - _UNITS) < 0.3:
                yield Anomaly(
                    severity="warning",
                    what=f"{channel}: about {level:.3g}, and {usual:.3g} elsewhere",
                    where=found.name,
                    advice="is it in other units? Convert it, or learn it apart",
                )


def levels_of(surveys: Sequence[Survey], channels: Sequence[str]) -> dict[str, float]:
    """The usual level of each channel, without its sign; of those that have one."""
    found = {}
    for place, channel in enumerate(channels):
        levels = np.array([abs(s.middle[place]) for s in surveys])
        levels = levels[np.isfinite(levels) & (levels > 0)]
        if len(levels):
            found[channel] = float(np.median(levels))
    return found


def check_schema(channels: Sequence[str], held: Mapping[str, Any]) -> Iterator[Anomaly]:
    """Channels that came or went since the schema was inferred."""
    for what, names in (
        ("is new", set(channels) - set(held["channels"])),
        ("is no longer there", set(held["channels"]) - set(channels)),
    ):
        for name in sorted(names):
            yield Anomaly(
                severity="warning",
                what=f"the channel {name} {what}",
                where="schema",
                advice="if that is meant: --set ExampleValidator.schema=renew",
            )
