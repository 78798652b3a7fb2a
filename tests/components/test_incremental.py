"""ExampleGen and Transform take over what still holds, and what they make is as if made anew."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import components.example_gen.executor as example_gen
import components.transform.executor as transform
from components.base import PREVIOUS, Metrics
from components.example_gen import writing
from components.example_gen.component import ExampleGen, ExampleGenParameters
from components.members import read_members
from components.transform.component import Transform, TransformParameters

RATE = 8_000
LABELS = ("_silence_", "_unknown_", "no", "yes")
GENERATE = ExampleGenParameters(sample_rate=RATE, clip_seconds=0.3, shards=8, shard_clips=64)
FEATURES = TransformParameters(
    high_hz=3_900.0,
    train_views=1,
    eval_views=1,
    made_unknown=0.5,
    made_silence=0.25,
    beam_options=("--direct_num_workers=1",),
)


def save(path: Path, seed: int, seconds: float = 0.3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.2, round(seconds * RATE))
    soundfile.write(path, noise, RATE)


def name(label: str, speaker: int) -> str:
    return f"{label}/{speaker}.wav" if label == "_silence_" else f"{label}/s{speaker}_nohash_0.wav"


@dataclasses.dataclass(frozen=True)
class Made:
    """Recordings, and both artifacts that come of them."""

    data: Path
    examples: Path
    features: Path
    generated: Metrics
    transformed: Metrics


def make(data: Path, earlier: Made | None = None) -> Made:
    """Runs both steps over `data`."""
    place = Path(tempfile.mkdtemp(dir=data.parent))
    examples, features = place / "examples", place / "features"
    examples.mkdir()
    features.mkdir()
    before = [] if earlier is None else [earlier.examples, earlier.features]
    one, two = ({PREVIOUS: path} for path in before) if before else ({}, {})
    generated = example_gen.execute({"recordings": data, **one}, {"examples": examples}, GENERATE)
    transformed = transform.execute({"examples": examples, **two}, {"features": features}, FEATURES)
    return Made(data, examples, features, generated, transformed)


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def same(one: Made, other: Made) -> bool:
    return digests(one.examples) == digests(other.examples) and digests(one.features) == digests(
        other.features
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Thirty speakers who say each word once, and what both steps make of them."""
    data = tmp_path_factory.mktemp("incremental") / "data"
    for number in range(30):
        for place, label in enumerate(LABELS):
            save(data / name(label, number), 10 * number + place)
    save(data / "_background_noise_" / "hum.wav", 9_999, seconds=5.0)
    return make(data)


@pytest.fixture
def data(first: Made, tmp_path: Path) -> Path:
    """A copy of the recordings, to be changed."""
    return shutil.copytree(first.data, tmp_path / "data")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the shards one by one in this process, without Beam."""

    def run(work: Callable[[Any], Any], shards: Sequence[Any], **_: Any) -> Iterator[Any]:
        return iter([json.loads(json.dumps(work(shard))) for shard in shards])

    monkeypatch.setattr(writing, "run_shards", run)
    monkeypatch.setattr(transform, "run_shards", run)


def shards_made(made: Made) -> tuple[float, float]:
    return made.generated["shards_made"], made.transformed["shards_made"]


def test_one_recording_more_makes_one_shard_anew(first: Made, data: Path) -> None:
    save(data / name("yes", 77), 1)
    again = make(data, first)
    assert shards_made(first) == (14, 12)
    assert shards_made(again) == (1, 1)
    assert same(again, make(data))


@pytest.mark.usefixtures("at_once")
def test_one_recording_less_makes_one_shard_anew(first: Made, data: Path) -> None:
    (data / name("yes", 7)).unlink()
    again = make(data, first)
    assert shards_made(again) == (1, 1)
    assert same(again, make(data))


@pytest.mark.usefixtures("at_once")
def test_one_changed_recording_makes_one_shard_anew(first: Made, data: Path) -> None:
    path = data / name("no", 3)
    before = path.stat()
    save(path, 1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # the bytes tell, not the time
    again = make(data, first)
    assert shards_made(again) == (1, 1)
    assert same(again, make(data))


@pytest.mark.usefixtures("at_once")
def test_nothing_new_makes_nothing_anew_and_links_the_shards(first: Made) -> None:
    again = make(first.data, first)
    assert shards_made(again) == (0, 0)
    assert same(again, first)
    for shard in read_members(first.examples):
        assert (again.examples / shard.file).samefile(first.examples / shard.file)


@pytest.mark.usefixtures("at_once")
def test_shards_are_copied_where_there_can_be_no_link(
    first: Made, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_device(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", other_device)
    again = make(data, first)
    assert shards_made(again) == (0, 0)
    assert same(again, first)


@pytest.mark.usefixtures("at_once")
def test_other_noise_is_in_every_shard_that_mixes_it_in(first: Made, data: Path) -> None:
    save(data / "_background_noise_" / "hum.wav", 1, seconds=5.0)
    again = make(data, first)
    assert shards_made(again) == (1, 12)
    assert same(again, make(data))


@pytest.mark.usefixtures("at_once")
def test_a_new_label_numbers_all_rows_anew(first: Made, data: Path) -> None:
    for number in range(30):
        save(data / name("a", number), 500 + number)
    again = make(data, first)
    assert again.transformed["shards_made"] == 12
    assert same(again, make(data))


@pytest.mark.usefixtures("at_once")
def test_what_is_damaged_is_made_anew(first: Made, data: Path, tmp_path: Path) -> None:
    examples = shutil.copytree(first.examples, tmp_path / "examples")
    features = shutil.copytree(first.features, tmp_path / "features")
    shard = sorted(examples.glob("train-*.tfrecord"))[2]
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x00")
    codes = features / "train.codes.npy"
    content = bytearray(codes.read_bytes())
    content[-1] ^= 1
    codes.write_bytes(content)
    damaged = dataclasses.replace(first, examples=examples, features=features)
    again = make(data, damaged)
    assert shards_made(again) == (1, 1)
    assert same(again, first)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("content", ["", "{}", '{"shards": [\n{"file": 1}\n]}\n'])
def test_an_earlier_artifact_that_cannot_be_read_is_no_obstacle(
    first: Made, data: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("examples", "features"):
        (tmp_path / folder).mkdir()
    (tmp_path / "examples" / "members.json").write_text(content)
    (tmp_path / "features" / "features.json").write_text(content)
    examples, features = tmp_path / "examples", tmp_path / "features"
    again = make(data, dataclasses.replace(first, examples=examples, features=features))
    assert shards_made(again) == (14, 12)
    assert same(again, first)
    assert capsys.readouterr().err.count("anew") == 2


_PLACES = st.tuples(st.sampled_from(LABELS), st.integers(0, 44))
_EDITS = st.one_of(
    st.tuples(st.just("save"), _PLACES, st.integers(0, 3)),
    st.tuples(st.just("remove"), _PLACES, st.just(0)),
    st.tuples(st.just("noise"), st.just(("", 0)), st.integers(0, 3)),
    st.tuples(st.just("no folder"), st.just(("_unknown_", 0)), st.just(0)),
    st.tuples(st.just("no folder"), st.just(("_silence_", 0)), st.just(0)),
)


@pytest.mark.usefixtures("at_once")
@settings(
    max_examples=8,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(edits=st.lists(st.lists(_EDITS, min_size=1, max_size=4), min_size=1, max_size=2))
def test_whatever_changed_the_bytes_are_those_of_a_run_from_nothing(
    first: Made, tmp_path: Path, edits: list[list[tuple[str, tuple[str, int], int]]]
) -> None:
    data, earlier = tmp_path / "data", first
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(first.data, data)
    for night in edits:
        for kind, (label, number), seed in night:
            path = data / name(label, number)
            if kind == "save" and path.parent.exists():
                save(path, seed)
            elif kind == "remove":
                path.unlink(missing_ok=True)
            elif kind == "noise":
                save(data / "_background_noise_" / f"{seed}.wav", seed, seconds=2.0)
            elif kind == "no folder":
                shutil.rmtree(path.parent, ignore_errors=True)
        again = make(data, earlier)
        assert same(again, make(data))
        earlier = again


def test_both_steps_ask_for_their_earlier_artifact() -> None:
    assert ExampleGen.REUSES in ExampleGen.OUTPUTS
    assert Transform.REUSES in Transform.OUTPUTS
