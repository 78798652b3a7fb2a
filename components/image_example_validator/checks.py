"""What may be wrong with a set of pictures, from its statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from components.example_validator.anomaly import Anomaly
from components.image_example_validator.component import ImageExampleValidatorParameters
from components.records import SPLITS

_RENEW = "put it back; or, if it is meant, run once with --set ExampleValidator.schema=renew"


def check_leakage(statistics: Any, p: ImageExampleValidatorParameters) -> Iterator[Anomaly]:
    """Groups and copies of pictures in more than one split, which make the test too kind."""
    for group, places in sorted(statistics["speakers"].items()):
        if len(places) > 1:
            yield Anomaly(
                severity="error",
                what=f"the group {group} is in more than one split",
                where=" and ".join(f"{v['path']} ({k})" for k, v in sorted(places.items())),
                advice="keep all pictures of a group in one list",
            )
    for pictures in statistics["duplicates"]:
        first = pictures[0]
        other = next((c for c in pictures if c["split"] != first["split"]), None)
        renamed = next((c for c in pictures if c["label"] != first["label"]), None)
        if other is not None:
            yield Anomaly(
                severity=p.copies,
                what="the same picture is in two splits",
                where=" and ".join(f"{c['path']} ({c['split']})" for c in (first, other)),
                advice="keep it in one of them",
            )
        elif renamed is not None:
            yield Anomaly(
                severity="warning",
                what="the same picture has two labels",
                where=f"{first['path']} and {renamed['path']}",
                advice="look at it and remove the wrong one",
            )


def check_pictures(statistics: Any, p: ImageExampleValidatorParameters) -> Iterator[Anomaly]:
    """Labels without pictures in a split, small labels, and pictures that show nothing."""
    for split in SPLITS:
        found = statistics["splits"].get(split, {"labels": {}})["labels"]
        for label in statistics["labels"]:
            slice_ = found.get(label, {"clips": 0, "even": 0})
            if not slice_["clips"]:
                yield Anomaly(
                    severity="error",
                    what=f"no {split} pictures",
                    where=label,
                    advice="give pictures of every label to every split",
                )
            elif split == "train" and slice_["clips"] < p.few_pictures:
                yield Anomaly(
                    severity="warning",
                    what=f"{slice_['clips']} train pictures are few",
                    where=label,
                    advice="take more",
                )
            if slice_["even"] > p.even * slice_["clips"]:
                yield Anomaly(
                    severity="warning",
                    what=f"{slice_['even']} of {slice_['clips']} pictures are even",
                    where=f"{label} in {split}; {slice_['flattest'][1]} the most",
                    advice="look whether they show anything",
                )


def check_schema(statistics: Any, schema: Any) -> Iterator[Anomaly]:
    """Where the labels are not those of the schema."""
    labels, wanted = set(statistics["labels"]), set(schema["labels"])
    for label in sorted(labels ^ wanted):
        what = "a label that is not in the schema"
        if label in wanted:
            what = "a label of the schema has no pictures"
        yield Anomaly(severity="error", what=what, where=label, advice=_RENEW)


def check_skew(
    reference: Any, other: Any, names: tuple[str, str], p: ImageExampleValidatorParameters
) -> Iterator[Anomaly]:
    """Where one split of two sets of statistics is unlike the other, by shares and brightness."""
    before, after = (
        s["splits"].get(name) for s, name in zip((reference, other), names, strict=True)
    )
    if before is None or after is None:
        return
    if min(before["all"]["clips"], after["all"]["clips"]) < p.compared:
        return
    than = names[0] if reference is other else "that of the run before"
    advice = "see that the pictures were taken alike"
    shares = [
        {label: s["clips"] / side["all"]["clips"] for label, s in side["labels"].items()}
        for side in (before, after)
    ]
    labels = sorted(set(shares[0]) | set(shares[1]))
    first, second = max(
        ((shares[0].get(x, 0.0), shares[1].get(x, 0.0)) for x in labels),
        key=lambda pair: abs(pair[0] - pair[1]),
    )
    if abs(first - second) > p.label_share:
        what = f"is unlike {than}: a label is {second:.0%} of the pictures, not {first:.0%}"
        yield Anomaly(severity="warning", what=what, where=names[1], advice=advice)
    levels = [np.asarray(side["all"]["brightness"], np.float64) for side in (before, after)]
    divergence = float(jensenshannon(*levels, base=2)) ** 2
    if divergence > p.brightness_divergence:
        what = f"is unlike {than}: brightness differs (Jensen-Shannon divergence {divergence:.2f})"
        yield Anomaly(severity="warning", what=what, where=names[1], advice=advice)
