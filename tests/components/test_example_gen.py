from __future__ import annotations

import errno
import hashlib
import io
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from components import tfrecord
from components.base import UserError
from components.beam_options import pipeline_options
from components.example_gen.component import ExampleGenParameters
from components.example_gen.decoding import plain_pcm
from components.example_gen.discovery import Recording, recording
from components.example_gen.executor import execute
from components.example_gen.plan import NoiseRecording, to_shards
from components.example_gen.splits import by_speaker
from components.members import Member, read_members, shard_digest
from components.records import NOISE, SPLITS, Example, read_examples, shard_paths
from components.tfrecord import read_checksums
from edge_agent.features.waveform import conform, fit
from edge_agent.sources.wav import read_wav

RATE = 16_000
SPEAKERS = ("00000001", "00000002", "00000003", "00000004", "00000005")
LABELS = ("_silence_", "_unknown_", "no", "yes")


def tone(seed: int, seconds: float = 0.6, rate: int = RATE, channels: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    waves = [np.sin(2 * np.pi * random.uniform(200, 3_000) * time) for _ in range(channels)]
    return 0.4 * np.stack(waves, axis=1) + random.normal(0, 0.01, (len(time), channels))


def save(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five speakers who say each word once, in Speech Commands' layout, without lists."""
    root = tmp_path / "data"
    for number, speaker in enumerate(SPEAKERS):
        for place, label in enumerate(LABELS):
            stem = f"bed_{speaker}" if label == "_unknown_" else speaker
            name = f"{number}.wav" if label == "_silence_" else f"{stem}_nohash_0.wav"
            save(root / label / name, tone(10 * number + place))
    save(root / "_background_noise_" / "hum.wav", tone(99, seconds=65.0))
    return root


def make(data: Path, **parameters: object) -> Path:
    folder = data.parent / f"examples-{len(list(data.parent.iterdir()))}"
    folder.mkdir()
    settings = ExampleGenParameters(**{"shards": 4, **parameters})
    execute({"recordings": data}, {"examples": folder}, settings)
    return folder


def refused(data: Path) -> str:
    with pytest.raises(UserError) as refusal:
        make(data)
    return str(refusal.value)


def examples(folder: Path, split: str) -> list[Example]:
    return [e for path in shard_paths(folder, split) for e in read_examples(path)]


def every(folder: Path) -> dict[str, Example]:
    return {e.path: e for split in SPLITS for e in examples(folder, split)}


def lists(data: Path, **splits: Sequence[str]) -> None:
    for split, paths in splits.items():
        (data / f"{split}.txt").write_text("\n".join(paths) + "\n", encoding="utf-8")


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_each_label_is_in_each_split_and_no_speaker_in_two(data: Path) -> None:
    folder = make(data)
    splits_of = defaultdict(set)
    for split in SPLITS:
        found = examples(folder, split)
        assert {e.label for e in found} == set(LABELS)
        for example in found:
            splits_of[example.speaker].add(split)
    assert splits_of.pop("") == set(SPLITS)  # nobody speaks in _silence_
    assert set(splits_of) == set(SPEAKERS)
    assert all(len(splits) == 1 for splits in splits_of.values())
    about = json.loads((folder / "examples.json").read_text())
    assert about["labels"] == list(LABELS)
    assert (about["sample_rate"], about["clip_samples"]) == (RATE, RATE)
    assert about["split_by"] == "speaker hash"
    assert sum(about["splits"][split]["clips"] for split in SPLITS) == 20
    assert sum(about["splits"][split]["speakers"] for split in SPLITS) == 5


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(44_100, 2, "FLOAT"), (RATE, 1, "PCM_16"), (RATE, 1, "PCM_24")],
)
def test_a_record_says_what_the_recording_was(
    data: Path, rate: int, channels: int, subtype: str
) -> None:
    path = "yes/00000009_nohash_0.wav"
    samples = tone(5, seconds=0.5, rate=rate, channels=channels)
    samples[:100] = -1.0
    save(data / path, samples, rate, subtype)
    example = every(make(data))[path]
    assert (example.label, example.speaker) == ("yes", "00000009")
    assert example.digest == hashlib.sha256((data / path).read_bytes()).hexdigest()
    assert example.decoded_digest == hashlib.sha256(example.audio).hexdigest()
    assert (example.source_rate, example.source_channels) == (rate, channels)
    assert example.source_seconds == pytest.approx(0.5)
    assert example.peak == 1.0
    assert example.rms == pytest.approx(math.sqrt(np.mean(samples**2)), rel=1e-4)
    assert example.dc_offset == pytest.approx(samples.mean(), abs=1e-4)
    assert example.clipped_share == pytest.approx(100 / len(samples), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "channels"),
    [
        ("a.wav", "PCM_U8", 8_000, 1),
        ("a.wav", "PCM_16", 16_000, 1),
        ("a.wav.wav", "PCM_16", 44_100, 2),
        ("a.WAV", "PCM_24", 48_000, 1),
        ("a.wav", "PCM_32", 22_050, 2),
        ("a.wav", "FLOAT", 16_000, 3),
        ("a.wav", "DOUBLE", 44_100, 1),
        ("a.flac", "PCM_24", 44_100, 2),
        ("a.ogg", "VORBIS", 44_100, 1),
        ("a.mp3", "MPEG_LAYER_III", 44_100, 1),
        ("a.aiff", "PCM_16", 16_000, 1),
    ],
)
def test_any_recording_becomes_the_clip_that_the_device_would_see(
    data: Path, name: str, subtype: str, rate: int, channels: int
) -> None:
    path = data / "yes" / name
    save(path, tone(7, seconds=1.3, rate=rate, channels=channels), rate, subtype)
    example = every(make(data))[f"yes/{name}"]
    assert len(example.pcm) == RATE
    assert (example.source_rate, example.source_channels) == (rate, channels)
    assert example.speaker == "a"
    if path.suffix.lower() == ".wav":
        samples, found = read_wav(path)
        assert np.array_equal(example.pcm, fit(conform(samples, found, RATE), RATE))


@given(
    samples=st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=9),
    at=st.integers(0, 43),
)
def test_only_a_wav_file_without_a_flaw_is_read_without_the_library(
    samples: list[int], at: int
) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.array(samples, np.int16), RATE, "PCM_16", format="WAV")
    data = file.getvalue()
    assert plain_pcm(data, RATE).tolist() == samples
    assert plain_pcm(data, 8_000) is None
    assert plain_pcm(data[:-1], RATE) is None
    assert plain_pcm(data + b"LIST", RATE) is None
    flawed = bytearray(data)
    flawed[at] ^= 1
    if at not in range(28, 32):  # bytes a second, which nobody reads
        assert plain_pcm(bytes(flawed), RATE) is None


def test_a_noise_recording_is_cut_into_pieces_and_nothing_is_lost(data: Path) -> None:
    pieces = examples(make(data), NOISE)
    assert [len(piece.pcm) for piece in pieces] == [60 * RATE, 5 * RATE]
    samples, rate = read_wav(data / "_background_noise_" / "hum.wav")
    whole = np.concatenate([piece.pcm for piece in pieces])
    assert np.array_equal(whole, conform(samples, rate, RATE))


def test_lists_decide_the_splits(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, speaker in zip(SPLITS, SPEAKERS, strict=False):
        number = SPEAKERS.index(speaker)
        lists(
            data,
            **{
                split: [
                    f"_silence_/{number}.wav",
                    f"_unknown_/bed_{speaker}_nohash_0.wav",
                    f"no/{speaker}_nohash_0.wav",
                    f"yes/{speaker}_nohash_0.wav",
                ]
            },
        )
    folder = make(data)
    for split, speaker in zip(SPLITS, SPEAKERS, strict=False):
        assert {e.speaker for e in examples(folder, split)} == {speaker, ""}
    assert json.loads((folder / "examples.json").read_text())["split_by"] == "lists"
    assert "8 recordings are in none of the lists" in capsys.readouterr().err


def test_missing_silence_and_unknown_are_made_from_the_splits_own_speakers(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in ("_silence_", "_unknown_"):
        for path in (data / label).iterdir():
            path.unlink()
    folder = make(data)
    for split in SPLITS:
        found = examples(folder, split)
        assert {e.label for e in found} == set(LABELS)
        words = {e.speaker for e in found if e.label in ("yes", "no")}
        made = [e for e in found if e.path.startswith("synthesised:")]
        assert {e.speaker for e in made if e.label == "_unknown_"} <= words
        assert {e.speaker for e in made if e.label == "_silence_"} == {""}
        assert all(np.ptp(e.pcm) > 0 and len(e.pcm) == RATE for e in made)
    said = capsys.readouterr().err
    assert "no _unknown_ folder" in said
    assert "cut from the noise recordings" in said
    assert len({e.decoded_digest for e in every(folder).values()}) == len(every(folder))


def test_silence_is_generated_where_there_is_no_noise_either(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("_silence_", "_background_noise_"):
        for path in (data / folder).iterdir():
            path.unlink()
        (data / folder).rmdir()
    folder = make(data)
    silence = [e for e in every(folder).values() if e.label == "_silence_"]
    assert silence
    assert all(0 < e.rms < 0.06 for e in silence)
    assert "generated noise" in capsys.readouterr().err


def test_the_same_recordings_give_the_same_bytes(data: Path) -> None:
    (data / "_unknown_").rename(data / ".unknown")
    assert digests(make(data)) == digests(make(data))


@pytest.mark.slow
def test_two_processes_give_the_same_bytes_as_one(data: Path) -> None:
    options = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
    assert digests(make(data, beam_options=options)) == digests(make(data))


def test_members_name_each_recording_once_beside_the_shard_that_holds_it(data: Path) -> None:
    folder = make(data)
    members = list(read_members(folder))
    assert json.loads((folder / "members.json").read_text()) == {
        "shards": [shard.to_json() for shard in members]
    }
    paths = [path for split in (*SPLITS, NOISE) for path in shard_paths(folder, split)]
    assert [shard.file for shard in members] == [path.name for path in paths]
    for shard, path in zip(members, paths, strict=True):
        assert shard.digest == shard_digest(shard.made_from, read_checksums(path))
        held = list(read_examples(path))
        assert shard.labels == Counter(e.label for e in held)
        assert list(shard.recordings) == [
            Member(path=e.path, digest=e.digest, label=e.label, speaker=e.speaker)
            for e in {e.path: e for e in held}.values()
        ]
    named = [member.path for shard in members for member in shard.recordings]
    there = [path.relative_to(data).as_posix() for path in data.rglob("*.wav")]
    assert sorted(named) == sorted(there)


def test_clips_that_are_made_are_no_members(data: Path) -> None:
    (data / "_silence_").rename(data / ".silence")
    folder = make(data)
    shards = list(read_members(folder))
    assert sum(shard.labels.get("_silence_", 0) for shard in shards) > 0
    assert not any(m.path.startswith("synthesised:") for s in shards for m in s.recordings)


def test_shards_do_not_change_what_is_in_them(data: Path) -> None:
    assert every(make(data, shards=1)) == every(make(data, shards=9))


def test_the_number_of_shards_doubles_as_seldom_as_it_can() -> None:
    def counts(clips: int) -> list[int]:
        entries = {split: [NoiseRecording(name=str(n)) for n in range(clips)] for split in SPLITS}
        made = to_shards(entries, shards=16, most=256)
        return [sum(shard.split == split for shard in made) for split in SPLITS]

    assert counts(10) == counts(1_024) == [16, 4, 4]
    assert counts(4_096) == [16, 16, 16]
    assert counts(4_097) == [32, 32, 32]


# Bad input: each names the file and what to do.


def test_no_folder(tmp_path: Path) -> None:
    assert "there is no such folder" in refused(tmp_path / "data")


def test_a_file_instead_of_a_folder(data: Path) -> None:
    assert "is not a folder" in refused(data / "yes" / "00000001_nohash_0.wav")


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "data" / "yes").mkdir(parents=True)
    assert "holds no recordings" in refused(tmp_path / "data")


@pytest.mark.parametrize("gone", [("no", "_unknown_"), ("yes", "no")])
def test_one_label(data: Path, gone: Sequence[str]) -> None:
    for label in gone:
        (data / label).rename(data / f".{label}")
    assert "at least two folders of words" in refused(data)


def test_a_label_with_one_clip(data: Path) -> None:
    save(data / "go" / "00000001_nohash_0.wav", tone(1))
    said = refused(data)
    assert "label go: 1 clip of 1 speaker" in said
    assert "at least three speakers" in said


def test_a_label_with_one_clip_by_lists(data: Path) -> None:
    lists(
        data,
        train=["yes/00000001_nohash_0.wav", "no/00000001_nohash_0.wav"],
        val=["yes/00000002_nohash_0.wav"],
        test=["yes/00000003_nohash_0.wav"],
    )
    assert "label no: has no clip in val.txt and test.txt" in refused(data)


def test_unusable_recordings_are_all_named_at_once(data: Path) -> None:
    yes = data / "yes"
    (yes / "empty.wav").write_bytes(b"")
    (yes / "text.wav").write_text("not a recording, whatever its name\n")
    save(yes / "zeros.wav", np.zeros((RATE, 1)))
    save(yes / "hollow.wav", np.concatenate([tone(1), np.zeros((2 * RATE, 1)), tone(2)]))
    save(yes / "none.wav", np.zeros((0, 1)))
    save(yes / "long.wav", tone(1, seconds=40.0))
    nan = tone(1)
    nan[5] = np.nan
    save(yes / "nan.wav", nan, subtype="FLOAT")
    said = refused(data)
    for name, what in {
        "empty": "is empty (0 bytes)",
        "text": "is not a recording that can be read",
        "zeros": "is silent",
        "hollow": "is silent in its middle",
        "none": "holds no samples",
        "long": "is 40 s long",
        "nan": "holds samples that are not finite",
    }.items():
        assert f"yes/{name}.wav: {what}" in said
    assert "7 problems" in said


def test_silence_may_be_all_zeros(data: Path) -> None:
    save(data / "_silence_" / "zeros.wav", np.zeros((RATE, 1)))
    assert not every(make(data))["_silence_/zeros.wav"].pcm.any()


def test_of_many_problems_the_first_twenty_are_shown_and_all_counted(data: Path) -> None:
    for number in range(25):
        (data / "yes" / f"bad{number:02d}.wav").write_bytes(b"")
    said = refused(data)
    assert "25 problems" in said
    assert said.count("is empty") == 20
    assert "and 5 more" in said
    assert "25 x record it again or remove it" in said


def test_unusable_noise(data: Path) -> None:
    save(data / "_background_noise_" / "zeros.wav", np.zeros((RATE, 1)))
    (data / "_background_noise_" / "text.wav").write_text("no sound")
    said = refused(data)
    assert "_background_noise_/zeros.wav: is silent" in said
    assert "_background_noise_/text.wav: is not a recording" in said


def test_a_list_that_is_missing(data: Path) -> None:
    lists(data, train=["yes/00000001_nohash_0.wav"], val=["yes/00000002_nohash_0.wav"])
    assert "test.txt: is missing beside the other lists" in refused(data)


def test_what_lists_may_not_name(data: Path) -> None:
    lists(
        data,
        train=["yes/00000001_nohash_0.wav", "yes/gone.wav", "../outside.wav"],
        val=["yes/00000001_nohash_0.wav"],
        test=[""],
    )
    said = refused(data)
    assert "train.txt, line 2: names yes/gone.wav, which is not there" in said
    assert "train.txt, line 3: names ../outside.wav" in said
    assert "val.txt, line 1: names yes/00000001_nohash_0.wav, which train.txt names already" in said
    assert "test.txt: is empty" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_recording_that_may_not_be_read(data: Path) -> None:
    (data / "yes" / "00000001_nohash_0.wav").chmod(0)
    assert "cannot be read" in refused(data)


def test_what_is_left_out_is_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "yes" / "notes.txt").write_text("hello")
    save(data / "yes" / "more" / "x.wav", tone(1))
    make(data)
    said = capsys.readouterr().err
    assert "1 files that are not wav" in said
    assert "1 folders within it are left out" in said


def test_a_full_disk_is_called_by_its_name(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tfrecord.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as refusal:
        make(data)
    assert refusal.value.errno == errno.ENOSPC
    left = [path for folder in data.parent.glob("examples-*") for path in folder.iterdir()]
    assert left == []


@pytest.mark.parametrize(
    ("option", "what"),
    [
        ("--runner=NoSuchRunner", "NoSuchRunner"),
        ("--direct_num_wrokers=2", "--direct_num_wrokers"),
        ("--direct_num_workers=two", "invalid int value"),
        ("direct", "--name=value"),
    ],
)
def test_a_wrong_beam_option_is_refused(option: str, what: str) -> None:
    with pytest.raises(UserError, match=what):
        pipeline_options((option,))


@pytest.mark.parametrize(
    ("path", "speaker"),
    [
        ("yes/0a1b2c3d_nohash_0.wav", "0a1b2c3d"),
        ("_unknown_/bed_0a1b2c3d_nohash_0.wav.wav", "0a1b2c3d"),
        ("yes/anna.flac", "anna"),
        ("no/anna.WAV", "anna"),
        ("_silence_/12.wav", ""),
        ("yes/v1.2_x.wav", "v1.2_x"),
    ],
)
def test_the_name_of_a_file_says_who_speaks(path: str, speaker: str) -> None:
    assert recording(path).speaker == speaker


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 11)), min_size=1, max_size=60
    )
)
def test_a_division_covers_all_splits_or_says_which_label_cannot(
    clips: list[tuple[str, int]],
) -> None:
    recordings = [
        Recording(path=f"{label}/{speaker}-{n}.wav", label=label, speaker=str(speaker))
        for n, (label, speaker) in enumerate(clips)
    ]
    division = by_speaker(recordings, val_percent=10, test_percent=10)
    splits_of = defaultdict(set)
    covered = defaultdict(set)
    for one in recordings:
        splits_of[one.speaker].add(division.split_of[one.path])
        covered[one.label].add(division.split_of[one.path])
    assert all(len(splits) == 1 for splits in splits_of.values())
    refused_labels = {problem.where.removeprefix("label ") for problem in division.problems}
    for label, splits in covered.items():
        speakers = {one.speaker for one in recordings if one.label == label}
        assert label in refused_labels or splits == set(SPLITS)
        assert len(speakers) >= 3 or label in refused_labels


def test_a_speaker_stays_in_their_split_when_others_come() -> None:
    def divide(count: int) -> dict[str, str]:
        recordings = [
            Recording(path=f"{label}/{n}.wav", label=label, speaker=f"speaker {n}")
            for n in range(count)
            for label in ("yes", "no")
        ]
        division = by_speaker(recordings, val_percent=10, test_percent=10)
        assert not division.moved
        return dict(division.split_of)

    few, many = divide(300), divide(1_000)
    assert all(many[path] == split for path, split in few.items())
    shares = [list(many.values()).count(split) / len(many) for split in SPLITS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.03)


def test_real_recordings(speech_commands: Path, tmp_path: Path) -> None:
    metrics = execute(
        {"recordings": speech_commands}, {"examples": tmp_path}, ExampleGenParameters()
    )
    assert metrics == {
        "train_clips": 1216.0,
        "val_clips": 228.0,
        "test_clips": 296.0,
        "noise_clips": 0.0,
        "shards": 28.0,
        "shards_made": 28.0,
    }
    about = json.loads((tmp_path / "examples.json").read_text())
    assert [about["splits"][split]["speakers"] for split in SPLITS] == [73, 11, 16]
