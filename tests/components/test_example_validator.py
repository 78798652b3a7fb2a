from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import write_json
from components.base import UserError
from components.example_validator.component import ExampleValidatorParameters
from components.example_validator.executor import execute
from components.statistics_gen.accumulator import BINS

LABELS = ("_silence_", "_unknown_", "no", "yes")
CLIPS = {"train": 100, "val": 50, "test": 50}


def slice_of(clips: int, split: str, **values: Any) -> dict[str, Any]:
    levels = [0] * BINS
    levels[-4] = clips
    path = f"yes/{split}_nohash_0.wav"
    defaults = {
        "clips": clips,
        "seconds": float(clips),
        "shortest": [1.0, path],
        "longest": [1.0, path],
        "peak_db": levels,
        "rms_db": levels,
        "loudest_rms": [0.2, path],
        "quietest_rms": [0.1, path],
        "clipped_clips": 0,
        "most_clipped": [0.0, path],
        "dc_offset": 0.0,
        "largest_dc_offset": [0.0, path],
        "quiet": 0.0,
        "quiet_clips": 0,
        "source_rates": {"16000": clips},
        "source_channels": {"1": clips},
    }
    return {**defaults, **values}


@pytest.fixture
def statistics() -> Any:
    """Statistics in which nothing is amiss."""
    return {
        "sample_rate": 16_000,
        "clip_samples": 16_000,
        "labels": list(LABELS),
        "split_by": "lists",
        "lowest_db": -80,
        "step_db": 5,
        "splits": {
            split: {
                "speakers": 10,
                "all": slice_of(4 * clips, split),
                "labels": {label: slice_of(clips, split) for label in LABELS},
            }
            for split, clips in CLIPS.items()
        },
        "speakers": {
            f"{split}{n}": {split: {"clips": 4, "path": f"yes/{split}{n}_nohash_0.wav"}}
            for split in CLIPS
            for n in range(10)
        },
        "duplicates": [],
    }


class Validator:
    """Runs the component in a folder, feeding the schema it gave back in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0
        self.schema: Path | None = None

    def __call__(self, statistics: Any, previous: Any = None, **parameters: Any) -> list[Any]:
        self._runs += 1
        run = self._folder / str(self._runs)
        outputs = {"validation": run / "validation", "schema": run / "schema"}
        inputs = {"statistics": run / "statistics"}
        if previous is not None:
            inputs["previous_statistics"] = run / "previous"
        for folder in (*outputs.values(), *inputs.values()):
            folder.mkdir(parents=True)
        write_json(inputs["statistics"] / "statistics.json", statistics)
        if previous is not None:
            write_json(inputs["previous_statistics"] / "statistics.json", previous)
        if self.schema:
            inputs["schema"] = self.schema
        execute(inputs, outputs, ExampleValidatorParameters(**parameters))
        self.schema = outputs["schema"]
        return json.loads((outputs["validation"] / "anomalies.json").read_text())


@pytest.fixture
def validate(tmp_path: Path) -> Validator:
    return Validator(tmp_path)


def copies(*clips: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"split": s, "label": lab, "speaker": "a", "path": p} for s, lab, p in clips]


def test_sound_examples_pass_without_a_word(validate: Validator, statistics: Any) -> None:
    assert validate(statistics) == []
    assert validate(statistics, previous=statistics) == []


def test_a_speaker_in_two_splits_is_an_error_naming_both_files(
    validate: Validator, statistics: Any
) -> None:
    statistics["speakers"]["train0"]["test"] = {"clips": 1, "path": "no/train0_nohash_7.wav"}
    with pytest.raises(UserError) as refusal:
        validate(statistics)
    said = str(refusal.value)
    assert "speaker train0 is in more than one split" in said
    assert "yes/train0_nohash_0.wav (train)" in said
    assert "no/train0_nohash_7.wav (test)" in said


def test_the_same_file_name_in_two_splits_is_only_a_warning(
    validate: Validator, statistics: Any
) -> None:
    statistics["speakers"]["001"] = {
        "train": {"clips": 1, "path": "yes/001.wav"},
        "test": {"clips": 1, "path": "no/001.wav"},
    }
    (anomaly,) = validate(statistics)
    assert anomaly["severity"] == "warning"
    assert anomaly["where"] == "no/001.wav (test) and yes/001.wav (train)"


def test_the_same_clip_in_train_and_test_is_an_error_naming_both(
    validate: Validator, statistics: Any
) -> None:
    statistics["duplicates"] = [copies(("train", "yes", "yes/a.wav"), ("test", "yes", "yes/b.wav"))]
    with pytest.raises(UserError, match=r"yes/a\.wav \(train\) and yes/b\.wav \(test\)"):
        validate(statistics)


def test_copies_within_a_split_are_one_warning(validate: Validator, statistics: Any) -> None:
    statistics["duplicates"] = [
        copies(("train", "yes", f"yes/{n}a.wav"), ("train", "yes", f"yes/{n}b.wav"))
        for n in range(30)
    ]
    (anomaly,) = validate(statistics)
    assert anomaly["what"] == "30 clips are copies of others of their split"
    assert anomaly["severity"] == "warning"


def test_a_clip_with_two_labels_is_told_apart(validate: Validator, statistics: Any) -> None:
    statistics["duplicates"] = [copies(("train", "no", "no/a.wav"), ("train", "yes", "yes/a.wav"))]
    (anomaly,) = validate(statistics)
    assert anomaly["what"] == "the same clip has two labels"


def test_a_label_missing_in_a_split_is_an_error(validate: Validator, statistics: Any) -> None:
    del statistics["splits"]["val"]["labels"]["yes"]
    with pytest.raises(UserError, match="yes: no val clips"):
        validate(statistics)


def test_the_first_twenty_errors_are_shown(validate: Validator, statistics: Any) -> None:
    statistics["duplicates"] = [
        copies(("train", "yes", f"yes/{n:02d}a.wav"), ("val", "yes", f"yes/{n:02d}b.wav"))
        for n in range(25)
    ]
    with pytest.raises(UserError, match="25 errors") as refusal:
        validate(statistics)
    assert str(refusal.value).count("the same clip") == 20
    assert "and 5 more" in str(refusal.value)


def test_the_schema_is_inferred_once_and_then_held(validate: Validator, statistics: Any) -> None:
    validate(statistics)
    assert validate.schema
    first = (validate.schema / "schema.json").read_bytes()
    changed = copy.deepcopy(statistics)
    changed["splits"]["train"]["all"]["source_rates"] = {"16000": 399, "8000": 1}
    changed["splits"]["train"]["labels"]["yes"] = slice_of(49, "train")
    whats = [anomaly["what"] for anomaly in validate(changed)]
    assert "recordings have a sample rate that the schema does not know: 8000" in whats
    assert "49 train clips; at least 50 by the schema" in whats
    assert (validate.schema / "schema.json").read_bytes() == first


@pytest.mark.parametrize("labels", [(*LABELS, "go"), LABELS[:-1]])
def test_other_labels_than_the_schemas_are_an_error_until_it_is_renewed(
    validate: Validator, statistics: Any, labels: tuple[str, ...]
) -> None:
    validate(statistics)
    changed = copy.deepcopy(statistics)
    changed["labels"] = list(labels)
    for split in CLIPS:
        changed["splits"][split]["labels"] = {
            label: slice_of(CLIPS[split], split) for label in labels
        }
    with pytest.raises(UserError, match=r"schema.*ExampleValidator\.schema=renew"):
        validate(changed)
    assert validate(changed, schema="renew") == []
    assert validate(changed) == []


def test_another_form_of_clip_is_an_error(validate: Validator, statistics: Any) -> None:
    validate(statistics)
    with pytest.raises(UserError, match="8000 Hz, where the schema has 16000"):
        validate({**statistics, "sample_rate": 8_000})


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"clipped_clips": 101}, "101 of 400 clips reach full scale"),
        ({"most_clipped": [0.1, "yes/x.wav"]}, "10% of the samples are clipped"),
        ({"largest_dc_offset": [0.2, "yes/x.wav"]}, "a DC offset of 0.20 of full scale"),
        ({"longest": [2.5, "yes/x.wav"]}, "a recording of 2.5 s, of which the middle 1 s are used"),
    ],
)
def test_recordings_that_sound_wrong_are_warned_of(
    validate: Validator, statistics: Any, values: dict[str, Any], what: str
) -> None:
    statistics["splits"]["train"]["all"].update(values)
    (anomaly,) = validate(statistics)
    assert (anomaly["severity"], anomaly["what"]) == ("warning", what)


def test_quiet_words_are_warned_of_but_not_silence(validate: Validator, statistics: Any) -> None:
    for label in ("yes", "_silence_"):
        statistics["splits"]["train"]["labels"][label]["quiet_clips"] = 6
    (anomaly,) = validate(statistics)
    assert anomaly["what"] == "6 of 100 clips are quiet throughout"
    assert anomaly["where"].startswith("yes in train")


def test_small_labels_and_few_speakers_are_warned_of(validate: Validator, statistics: Any) -> None:
    statistics["splits"]["train"]["labels"]["yes"]["clips"] = 29
    statistics["splits"]["test"]["speakers"] = 4
    whats = {anomaly["what"] for anomaly in validate(statistics, label_share=1.0)}
    assert whats == {"29 train clips are few", "4 speakers say little about others"}


def test_skew_of_labels_and_levels_is_warned_of(validate: Validator, statistics: Any) -> None:
    test = statistics["splits"]["test"]
    test["labels"]["yes"] = slice_of(150, "test")
    test["all"] = slice_of(300, "test", rms_db=[300] + [0] * (BINS - 1))
    whats = [anomaly["what"] for anomaly in validate(statistics)]
    assert whats == [
        "test is unlike train: yes is 50% of the clips, not 25%",
        "test is unlike train: its levels differ (Jensen-Shannon divergence 1.00)",
    ]


def test_drift_from_the_run_before_is_warned_of(validate: Validator, statistics: Any) -> None:
    previous = copy.deepcopy(statistics)
    for split in CLIPS:
        clips = previous["splits"][split]["all"]["clips"]
        previous["splits"][split]["all"]["rms_db"] = [clips] + [0] * (BINS - 1)
    whats = [anomaly["what"] for anomaly in validate(statistics, previous=previous)]
    assert len(whats) == 3
    assert all("unlike that of the run before" in what for what in whats)
    assert validate(statistics, previous=previous, level_divergence=1.0) == []


def test_few_clips_are_not_compared(validate: Validator, statistics: Any) -> None:
    statistics["splits"]["test"]["all"] = slice_of(99, "test", rms_db=[99] + [0] * (BINS - 1))
    assert validate(statistics) == []
