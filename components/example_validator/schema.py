"""What examples must look like: inferred from the first, then held against all later ones.

``schema.json`` holds {"labels", "sample_rate", "clip_samples", "source_rates", "source_channels",
"min_train_clips": half the clips of the smallest label at first}.
"""

from __future__ import annotations

from typing import Any

from components.example_validator.anomaly import Anomaly
from components.records import SPLITS

_RENEW = "put it back; or, if it is meant, run once with --set ExampleValidator.schema=renew"


def infer(statistics: Any) -> dict[str, Any]:
    """The schema that `statistics` satisfy."""
    train = statistics["splits"].get("train", {"labels": {}})["labels"]
    return {
        "labels": statistics["labels"],
        "sample_rate": statistics["sample_rate"],
        "clip_samples": statistics["clip_samples"],
        "source_rates": _found(statistics, "source_rates"),
        "source_channels": _found(statistics, "source_channels"),
        "min_train_clips": max(1, min((s["clips"] for s in train.values()), default=0) // 2),
    }


def check(statistics: Any, schema: Any) -> list[Anomaly]:
    """Where `statistics` are not what `schema` says."""
    anomalies = []
    labels, wanted = set(statistics["labels"]), set(schema["labels"])
    for label in sorted(wanted - labels):
        what = "a label of the schema has no clips"
        anomalies.append(Anomaly(severity="error", what=what, where=label, advice=_RENEW))
    for label in sorted(labels - wanted):
        what = "a label that is not in the schema"
        anomalies.append(Anomaly(severity="error", what=what, where=label, advice=_RENEW))
    for key, unit in (("sample_rate", "Hz"), ("clip_samples", "samples")):
        if statistics[key] != schema[key]:
            anomalies.append(
                Anomaly(
                    severity="error",
                    what=f"{statistics[key]} {unit}, where the schema has {schema[key]}",
                    where=key,
                    advice=_RENEW,
                )
            )
    for key, what in (("source_rates", "a sample rate"), ("source_channels", "a channel count")):
        for value in sorted(set(_found(statistics, key)) - set(schema[key])):
            anomalies.append(
                Anomaly(
                    severity="warning",
                    what=f"recordings have {what} that the schema does not know: {value}",
                    where=key,
                    advice="see that these recordings are what they should be",
                )
            )
    train = statistics["splits"].get("train", {"labels": {}})["labels"]
    for label, found in sorted(train.items()):
        least = schema["min_train_clips"]
        if label in wanted and found["clips"] < least:
            anomalies.append(
                Anomaly(
                    severity="warning",
                    what=f"{found['clips']} train clips; at least {least} by the schema",
                    where=label,
                    advice="look for lost recordings",
                )
            )
    return anomalies


def _found(statistics: Any, key: str) -> list[int]:
    splits = (statistics["splits"][split] for split in SPLITS if split in statistics["splits"])
    return sorted({int(value) for split in splits for value in split["all"][key]})
