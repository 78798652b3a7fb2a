"""Whether the test clips are really unseen: speakers and copies across splits.

A speaker in two splits makes the test too kind, and so does a copy of a clip. Where the file names
do not say who speaks, a speaker is only a file name (`components.example_gen.discovery`), and the
same name in two splits proves nothing: a warning. A clip twice in one split only counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.example_gen.discovery import is_named
from components.example_validator.anomaly import Anomaly


def check(statistics: Any) -> list[Anomaly]:
    """The speakers and clips that `statistics` show in more than one split, and other copies."""
    return [*_speakers(statistics["speakers"]), *_copies(statistics["duplicates"])]


def _speakers(speakers: Mapping[str, Any]) -> list[Anomaly]:
    anomalies = []
    for speaker, places in sorted(speakers.items()):
        if len(places) < 2:
            continue
        paths = [place["path"] for _, place in sorted(places.items())]
        named = all(is_named(path) for path in paths)
        where = " and ".join(
            f"{place['path']} ({split})" for split, place in sorted(places.items())
        )
        anomalies.append(
            Anomaly(
                severity="error" if named else "warning",
                what=f"speaker {speaker} is in more than one split"
                if named
                else f"the file name {speaker} is in more than one split",
                where=where,
                advice="keep all clips of a speaker in one list"
                if named
                else "if it stands for one speaker, keep these clips in one list",
            )
        )
    return anomalies


def _copies(duplicates: Sequence[Sequence[Mapping[str, str]]]) -> list[Anomaly]:
    anomalies = []
    alike = []
    for clips in duplicates:
        first = clips[0]
        other = next((c for c in clips if c["split"] != first["split"]), None)
        renamed = next((c for c in clips if c["label"] != first["label"]), None)
        if other is not None:
            where = " and ".join(f"{clip['path']} ({clip['split']})" for clip in (first, other))
            anomalies.append(
                Anomaly(
                    severity="error",
                    what="the same clip is in two splits",
                    where=where,
                    advice="keep it in one of them",
                )
            )
        elif renamed is not None:
            anomalies.append(
                Anomaly(
                    severity="warning",
                    what="the same clip has two labels",
                    where=f"{first['path']} and {renamed['path']}",
                    advice="listen to it and remove the wrong one",
                )
            )
        else:
            alike.append(clips)
    if alike:
        surplus = sum(len(clips) - 1 for clips in alike)
        anomalies.append(
            Anomaly(
                severity="warning",
                what=f"{surplus} clips are copies of others of their split",
                where=f"{alike[0][0]['path']} and {alike[0][1]['path']}, for one",
                advice="remove the copies: they count twice",
            )
        )
    return anomalies
