from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import write_json
from components.records import NOISE, Example, encode_example, shard_name
from components.statistics_gen.accumulator import BINS, Slice, quiet_share
from components.statistics_gen.component import StatisticsGenParameters
from components.statistics_gen.executor import execute
from components.tfrecord import RecordError, write_records

RATE = 16_000


def clip(path: str, pcm: np.ndarray, **values: Any) -> Example:
    audio = pcm.astype("<i2").tobytes()
    level = np.abs(pcm.astype(float)) / 32768
    defaults = {
        "audio": audio,
        "label": path.split("/")[0],
        "speaker": path.split("/")[1].split("_")[0],
        "path": path,
        "digest": hashlib.sha256(path.encode()).hexdigest(),
        "decoded_digest": hashlib.sha256(audio).hexdigest(),
        "source_rate": RATE,
        "source_channels": 1,
        "source_seconds": 1.0,
        "peak": float(level.max()),
        "rms": float(np.sqrt(np.mean(level**2))),
        "dc_offset": 0.0,
        "clipped_share": 0.0,
    }
    return Example(**{**defaults, **values})


def loud(seed: int, level: float = 0.25) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1, 1], RATE) * round(level * 32768)


def store(folder: Path, shards: int = 2, **splits: Iterable[Example]) -> Path:
    folder.mkdir()
    labels = set()
    for split, found in splits.items():
        clips = list(found)
        labels |= {c.label for c in clips if split != NOISE}
        for index in range(shards):
            records = [encode_example(c) for c in clips[index::shards]]
            write_records(folder / shard_name(split, index, shards), records)
    about = {"sample_rate": RATE, "clip_samples": RATE, "labels": sorted(labels)}
    write_json(folder / "examples.json", {**about, "split_by": "lists"})
    return folder


def statistics(examples: Path) -> Any:
    folder = examples.parent / f"{examples.name}-statistics"
    folder.mkdir()
    execute({"examples": examples}, {"statistics": folder}, StatisticsGenParameters())
    assert [path.name for path in folder.iterdir()] == ["statistics.json"]
    return json.loads((folder / "statistics.json").read_text())


def test_counts_levels_and_extremes(tmp_path: Path) -> None:
    train = [
        clip("yes/a_nohash_0.wav", loud(1, 0.25), source_seconds=0.5, dc_offset=-0.25),
        clip("yes/a_nohash_1.wav", loud(2, 0.5), source_seconds=2.5, clipped_share=0.125),
        clip("no/b_nohash_0.wav", loud(3, 0.25), source_rate=44_100, source_channels=2),
    ]
    noise = clip("_background_noise_/hum.wav", loud(5), speaker="")
    found = statistics(store(tmp_path / "e", train=train, noise=[noise]))
    whole = found["splits"]["train"]["all"]
    yes = found["splits"]["train"]["labels"]["yes"]
    assert (whole["clips"], yes["clips"], found["splits"]["train"]["speakers"]) == (3, 2, 2)
    assert yes["seconds"] == 3.0
    assert yes["shortest"] == [0.5, "yes/a_nohash_0.wav"]
    assert yes["longest"] == [2.5, "yes/a_nohash_1.wav"]
    assert yes["most_clipped"] == [0.125, "yes/a_nohash_1.wav"]
    assert yes["largest_dc_offset"] == [0.25, "yes/a_nohash_0.wav"]
    assert yes["clipped_clips"] == 1
    assert whole["source_rates"] == {"16000": 2, "44100": 1}
    assert whole["source_channels"] == {"1": 2, "2": 1}
    # 0.25 is -12.04 dB, in the bin from -15; 0.5 is -6.02 dB, in the bin from -10.
    assert (whole["rms_db"][BINS - 3], whole["rms_db"][BINS - 2]) == (2, 1)
    assert found["splits"]["noise"]["labels"]["_background_noise_"]["clips"] == 1
    assert set(found["speakers"]) == {"a", "b"}


def test_duplicates_and_speakers_across_splits(tmp_path: Path) -> None:
    found = statistics(
        store(
            tmp_path / "e",
            train=[clip("yes/a_nohash_0.wav", loud(1)), clip("yes/a_nohash_1.wav", loud(1))],
            test=[clip("yes/a_nohash_2.wav", loud(1)), clip("yes/c_nohash_0.wav", loud(2))],
        )
    )
    ((*copies,),) = found["duplicates"]
    assert [(c["split"], c["path"]) for c in copies] == [
        ("train", "yes/a_nohash_0.wav"),
        ("train", "yes/a_nohash_1.wav"),
        ("test", "yes/a_nohash_2.wav"),
    ]
    assert found["speakers"]["a"] == {
        "train": {"clips": 2, "path": "yes/a_nohash_0.wav"},
        "test": {"clips": 1, "path": "yes/a_nohash_2.wav"},
    }


def test_clips_of_zeros_are_no_copies_of_each_other(tmp_path: Path) -> None:
    zeros = [clip(f"_silence_/{n}.wav", np.zeros(RATE), speaker="") for n in range(2)]
    found = statistics(store(tmp_path / "e", train=zeros))
    assert found["duplicates"] == []
    assert found["splits"]["train"]["labels"]["_silence_"]["quiet_clips"] == 2


def test_the_number_of_shards_changes_nothing(tmp_path: Path) -> None:
    clips = [clip(f"yes/{n}_nohash_0.wav", loud(n)) for n in range(9)]
    one = statistics(store(tmp_path / "one", shards=1, train=clips))
    many = statistics(store(tmp_path / "many", shards=5, train=clips))
    for found in (one, many):
        for part in (found["splits"]["train"]["all"], found["splits"]["train"]["labels"]["yes"]):
            part["dc_offset"] = pytest.approx(part["dc_offset"])
            part["quiet"] = pytest.approx(part["quiet"])
    assert one == many


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    examples = store(tmp_path / "e", train=[clip("yes/a_nohash_0.wav", loud(1))])
    path = examples / shard_name("train", 0, 2)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RecordError, match="train-00000-of-00002"):
        statistics(examples)


def test_quiet_share_counts_frames() -> None:
    half = np.concatenate([np.zeros(RATE // 2), loud(1)[: RATE // 2]])
    assert quiet_share(clip("yes/a_nohash_0.wav", half), RATE, -60.0) == 0.5
    assert quiet_share(clip("yes/a_nohash_0.wav", loud(1, 0.0005)), RATE, -60.0) == 1.0
    assert quiet_share(clip("yes/a_nohash_0.wav", loud(1, 0.002)), RATE, -60.0) == 0.0


_CLIPS = st.lists(
    st.builds(
        lambda n, **values: clip(f"yes/{n}_nohash_0.wav", np.zeros(4), **values),
        st.integers(0, 9),
        peak=st.sampled_from([0.0, 1e-9, 0.5, 1.0]),
        rms=st.sampled_from([0.0, 0.125, 1.0]),
        dc_offset=st.sampled_from([-0.5, 0.0, 0.25]),
        clipped_share=st.sampled_from([0.0, 0.5]),
        source_rate=st.sampled_from([8_000, 16_000]),
    ),
    min_size=1,
    max_size=8,
)


@given(clips=_CLIPS, cut=st.integers(0, 8))
def test_slices_merge_as_if_they_had_been_one(clips: list[Example], cut: int) -> None:
    whole, left, right = Slice(), Slice(), Slice()
    for number, one in enumerate(clips):
        whole.add(one, 0.5)
        (left if number < cut else right).add(one, 0.5)
    merged = Slice()
    for part in (left, right):
        if part.clips:
            merged.merge(Slice.from_json(json.loads(json.dumps(part.to_json()))))
    assert merged == whole
