"""Whether the clips are enough, and sound as recordings should."""

from __future__ import annotations

from typing import Any

from components.example_validator.anomaly import Anomaly
from components.example_validator.component import ExampleValidatorParameters
from components.records import SPLITS
from edge_agent.bundle.manifest import SILENCE


def check_counts(statistics: Any, parameters: ExampleValidatorParameters) -> list[Anomaly]:
    """Labels without clips in a split, small labels, and few speakers."""
    anomalies = []
    for split in SPLITS:
        found = statistics["splits"].get(split, {"labels": {}, "speakers": 0})
        for label in statistics["labels"]:
            clips = found["labels"].get(label, {"clips": 0})["clips"]
            if not clips:
                anomalies.append(
                    Anomaly(
                        severity="error",
                        what=f"no {split} clips",
                        where=label,
                        advice="give clips of every label to every split",
                    )
                )
            elif split == "train" and clips < parameters.few_clips:
                anomalies.append(
                    Anomaly(
                        severity="warning",
                        what=f"{clips} train clips are few",
                        where=label,
                        advice="record more, of more speakers",
                    )
                )
        if split != "train" and 0 < found["speakers"] < parameters.few_speakers:
            anomalies.append(
                Anomaly(
                    severity="warning",
                    what=f"{found['speakers']} speakers say little about others",
                    where=split,
                    advice="record more speakers",
                )
            )
    return anomalies


def check_recordings(statistics: Any, parameters: ExampleValidatorParameters) -> list[Anomaly]:
    """Clipping, DC offset, silence, low sample rates and recordings that are too long."""
    anomalies: list[Anomaly] = []

    def warn(what: str, where: str, advice: str) -> None:
        anomalies.append(Anomaly(severity="warning", what=what, where=where, advice=advice))

    clip_seconds = statistics["clip_samples"] / statistics["sample_rate"]
    for split in SPLITS:
        whole = statistics["splits"].get(split, {"all": None})["all"]
        if whole is None:
            continue
        share, path = whole["most_clipped"]
        if whole["clipped_clips"] > parameters.clipped_clips * whole["clips"]:
            warn(
                f"{whole['clipped_clips']} of {whole['clips']} clips reach full scale",
                f"{split}; {path} the most",
                "record at a lower gain",
            )
        elif share > parameters.clipped_share:
            warn(f"{share:.0%} of the samples are clipped", path, "record it at a lower gain")
        offset, path = whole["largest_dc_offset"]
        if offset > parameters.dc_offset:
            warn(
                f"a DC offset of {offset:.2f} of full scale", path, "see to the microphone's input"
            )
        longest, path = whole["longest"]
        if longest > parameters.long_clips * clip_seconds:
            warn(
                f"a recording of {longest:.1f} s, of which the middle {clip_seconds:g} s are used",
                path,
                "cut recordings to the word, so that it is in their middle",
            )
        rates = {int(rate): clips for rate, clips in whole["source_rates"].items()}
        low = {rate: rates[rate] for rate in rates if rate < statistics["sample_rate"]}
        if low:
            warn(
                f"{sum(low.values())} recordings have a sample rate below the model's",
                f"{split}; down to {min(low)} Hz",
                "record at the model's rate or above: the high sounds are missing",
            )
        for label, found in sorted(statistics["splits"][split]["labels"].items()):
            if label != SILENCE and found["quiet_clips"] > parameters.quiet_clips * found["clips"]:
                warn(
                    f"{found['quiet_clips']} of {found['clips']} clips are quiet throughout",
                    f"{label} in {split}; {found['quietest_rms'][1]} the most",
                    "record at a higher gain",
                )
    return anomalies
