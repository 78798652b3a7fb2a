"""Transform: the device's own codes, fixed views of each clip, and clips that are made."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import read_json, write_json
from components.members import ShardMembers, digest_of, write_members
from components.records import NOISE, Example, encode_example, shard_name
from components.tfrecord import write_records
from components.training.data import FeatureSet
from components.training.rows import MADE
from components.transform.component import TransformParameters
from components.transform.executor import execute
from components.transform.shard import ShardFeatures, ShardTask, transform_shard
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.features.audio import AudioFeatures
from edge_agent.keyword.classifier import clip_codes_with_margin
from tests.fixtures.speech import RATE, utterance

LABELS = (SILENCE, UNKNOWN, "no", "yes")
MARGIN = 8
ONE_WORKER = ("--direct_num_workers=1",)


def example(label: str, number: int, **values: Any) -> Example:
    pcm = utterance(label, LABELS, seed=1000 * LABELS.index(label) + number)
    audio = pcm.astype("<i2").tobytes()
    path = f"{label}/{number:08x}_nohash_0.wav"
    given = {
        "audio": audio,
        "label": label,
        "speaker": "" if label == SILENCE else f"{number:08x}",
        "path": path,
        "digest": hashlib.sha256(path.encode()).hexdigest(),
        "decoded_digest": hashlib.sha256(audio).hexdigest(),
        "source_rate": RATE,
        "source_channels": 1,
        "source_seconds": 1.0,
        "peak": 0.5,
        "rms": 0.1,
        "dc_offset": 0.0,
        "clipped_share": 0.0,
    }
    return Example(**{**given, **values})


def examples(clips: int = 1) -> list[Example]:
    return [example(label, n) for label in LABELS for n in range(clips)]


def noise_piece() -> Example:
    return dataclasses.replace(example(SILENCE, 99), label="_background_noise_")


def task(features: AudioFeatures | None = None, **changes: Any) -> ShardTask:
    parameters = TransformParameters()
    given = ShardTask(
        features=features or AudioFeatures(),
        views=parameters.views(RATE),
        labels=LABELS,
        margin_frames=MARGIN,
        count=2,
        made_unknown=0.0,
        made_silence=0.0,
        seed=1,
    )
    return dataclasses.replace(given, **changes)


def views_of(made: ShardFeatures, clip: int) -> np.ndarray:
    return made.codes[(made.clip == clip) & (made.view > 0)]


@pytest.mark.parametrize("front_end", ["log_mel", "micro"])
def test_the_clip_as_recorded_has_the_devices_codes(front_end):
    features = TransformParameters(front_end=front_end).audio_features(RATE)
    clips = examples()
    made = transform_shard(clips, [], task(features))
    frames = features.frames_in(RATE)
    assert made.codes.shape == (len(clips) * 3, MARGIN + frames + MARGIN, features.channels)
    assert made.codes.dtype == np.int8
    for number, clip in enumerate(clips):
        (recorded,) = made.codes[(made.clip == number) & (made.view == 0)]
        assert np.array_equal(recorded, clip_codes_with_margin(clip.pcm, features, MARGIN))
        (row,) = np.flatnonzero((made.clip == number) & (made.view == 0))
        assert made.label[row] == LABELS.index(clip.label)


def test_a_clip_stands_in_digital_silence_of_the_margin():
    made = transform_shard(examples(), [], task(count=0))
    quiet = made.codes[:, : MARGIN - 1]
    assert (quiet == quiet[0, 0, 0]).all()
    assert (made.codes[:, -MARGIN + 1 :] == quiet[0, 0, 0]).all()


def test_views_differ_from_the_clip_and_from_each_other():
    made = transform_shard(examples(), [], task(count=3))
    for number, label in enumerate(LABELS):
        if label == SILENCE:  # so quiet that its views may be digital silence
            continue
        rows = made.codes[made.clip == number]
        assert len({row.tobytes() for row in rows}) == 4
    assert [tuple(x) for x in np.stack([made.clip, made.view], 1)[:5]] == [
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0),
    ]  # fmt: skip


def test_views_are_the_same_in_whichever_order_and_company():
    clips = examples()
    together = transform_shard(clips, [], task())
    reverse = transform_shard(clips[::-1], [], task())
    for number, clip in enumerate(clips):
        expected = views_of(together, number)
        assert np.array_equal(views_of(reverse, len(clips) - 1 - number), expected)
        assert np.array_equal(views_of(transform_shard([clip], [], task()), 0), expected)


def test_another_seed_gives_other_views_and_the_same_clip():
    clips = [clip for clip in examples() if clip.label != SILENCE]
    one, other = (transform_shard(clips, [], task(seed=seed)) for seed in (1, 2))
    first = one.view == 0
    assert np.array_equal(one.codes[first], other.codes[first])
    pairs = zip(one.codes[~first], other.codes[~first], strict=True)
    assert not any((a == b).all() for a, b in pairs)


def test_the_same_shard_gives_the_same_rows_babble_made_clips_and_all():
    noise = [np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)]
    asked = task(made_unknown=1.0, made_silence=0.5)
    one, other = (transform_shard(examples(4), noise, asked) for _ in range(2))
    for field in dataclasses.fields(ShardFeatures):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name))


def test_made_rows_are_no_word_and_belong_to_no_clip():
    made = transform_shard(examples(4), [], task(count=0, made_unknown=2.0, made_silence=0.5))
    rows = made.clip == MADE
    assert (made.view[rows] == MADE).all()
    assert (made.view[~rows] >= 0).all()
    labels = made.label[rows]
    assert (labels == LABELS.index(UNKNOWN)).sum() == 2 * 8
    assert (labels == LABELS.index(SILENCE)).sum() == 8
    assert len(labels) == 16 + 8


def test_a_shard_without_words_gets_no_made_word():
    made = transform_shard([example(SILENCE, 1)], [], task(made_unknown=2.0, made_silence=1.0))
    assert (made.label == LABELS.index(SILENCE)).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin_frames": 101},
        {"train_views": -1},
        {"speed_low": 1.3, "speed_high": 1.2},
        {"snr_low_db": 50.0},
        {"quiet_share": 1.5},
    ],
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        TransformParameters(**wrong)


def test_more_clips_get_fewer_views_in_few_steps():
    parameters = TransformParameters(train_views=30, train_rows=60_000)
    views = [parameters.views_of("train", clips) for clips in range(1, 100_001, 100)]
    assert views == sorted(views, reverse=True)
    assert sorted(set(views)) == [1, 2, 6, 13, 28, 30]
    rows = [(1 + many) * clips for many, clips in zip(views, range(1, 100_001, 100), strict=True)]
    assert max(rows[: 29_000 // 100]) < 1.5 * 60_000


def members_of(path: Path) -> ShardMembers:
    return ShardMembers(
        file=path.name, digest=digest_of(path), made_from="", labels={}, recordings=()
    )


def store(folder: Path, shards: int, **splits: Sequence[Example]) -> Path:
    folder.mkdir()
    for split, clips in splits.items():
        for index in range(shards):
            records = [encode_example(clip) for clip in clips[index::shards]]
            write_records(folder / shard_name(split, index, shards), records)
    write_members(folder, map(members_of, sorted(folder.iterdir())))
    counts = {split: {"clips": len(clips)} for split, clips in splits.items()}
    about = {"sample_rate": RATE, "clip_samples": RATE, "labels": list(LABELS)}
    write_json(folder / "examples.json", {**about, "splits": counts})
    return folder


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> tuple[Path, dict[str, list[Example]]]:
    """A Features artifact, and the examples it was made of by split."""
    folder = tmp_path_factory.mktemp("transform")
    splits = {
        split: [example(label, 10 * n + place) for label in LABELS for n in range(2)]
        for place, split in enumerate(("train", "val", "test"))
    }
    hum = noise_piece()
    source = store(folder / "examples", 2, **splits, **{NOISE: [hum]})
    (folder / "features").mkdir()
    parameters = TransformParameters(
        train_views=2, eval_views=1, made_unknown=1.0, made_silence=0.25, beam_options=ONE_WORKER
    )
    metrics = execute({"examples": source}, {"features": folder / "features"}, parameters)
    assert metrics == {"rows": 8 * 3 + 4 + 2 + 8 * 2 + 8 * 2, "shards": 6.0, "shards_made": 6.0}
    return folder / "features", splits


def test_the_artifact_holds_what_it_is_said_to_hold(artifact):
    folder, splits = artifact
    assert sorted(path.name for path in folder.iterdir()) == [
        "features.json", "noise.pcm.npy", "test.codes.npy", "test.index.npz",
        "train.codes.npy", "train.index.npz", "val.codes.npy", "val.index.npz",
    ]  # fmt: skip
    features = FeatureSet.open(folder)
    assert (features.frames, features.margin, features.labels) == (49, MARGIN, LABELS)
    for name, clips in splits.items():
        described = features.description["splits"][name]
        in_shards = [clip for index in range(2) for clip in clips[index::2]]
        assert described["paths"] == [clip.path for clip in in_shards]
        assert described["digests"] == [clip.digest for clip in in_shards]
        assert described["speakers"] == [clip.speaker for clip in in_shards]
        assert (described["clips"], described["views"]) == (8, 2 if name == "train" else 1)
        split = features.split(name)
        for number, clip in enumerate(in_shards):
            (row,) = np.flatnonzero((split.clip == number) & (split.view == 0))
            expected = clip_codes_with_margin(clip.pcm, features.features, MARGIN)
            assert np.array_equal(split.codes[row], expected)
            assert LABELS[split.label[row]] == clip.label
    assert (features.split("val").view >= 0).all()
    assert np.array_equal(np.load(folder / "noise.pcm.npy"), noise_piece().pcm)


def test_the_same_examples_give_the_same_bytes(artifact, tmp_path):
    folder, splits = artifact
    hum = noise_piece()
    source = store(tmp_path / "examples", 2, **splits, **{NOISE: [hum]})
    (tmp_path / "features").mkdir()
    parameters = TransformParameters(
        train_views=2, eval_views=1, made_unknown=1.0, made_silence=0.25, beam_options=ONE_WORKER
    )
    execute({"examples": source}, {"features": tmp_path / "features"}, parameters)
    for path in folder.iterdir():
        again = tmp_path / "features" / path.name
        if path.suffix == ".npz":
            with np.load(path) as one, np.load(again) as other:
                assert all(np.array_equal(one[key], other[key]) for key in one.files)
        assert path.read_bytes() == again.read_bytes(), path.name
    assert read_json(tmp_path / "features" / "features.json")["clip_samples"] == RATE
