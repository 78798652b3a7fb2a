"""From a folder of pictures to features: what is found, refused, counted and computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.artifacts import read_json
from components.base import PREVIOUS, UserError
from components.handwritten_digits.component import HandwrittenDigitsParameters
from components.handwritten_digits.executor import execute as write_digits
from components.image_evaluator.executor import nearest_mean
from components.image_example_gen.component import ImageExampleGenParameters
from components.image_example_gen.executor import execute as generate
from components.image_example_validator.component import ImageExampleValidatorParameters
from components.image_example_validator.executor import execute as validate
from components.image_statistics_gen.component import ImageStatisticsGenParameters
from components.image_statistics_gen.executor import execute as count
from components.image_transform.component import ImageTransformParameters
from components.image_transform.executor import execute as transform
from components.image_transform.views import ViewParameters, make_view
from components.picture_records import read_pictures
from components.records import SPLITS, shard_paths
from components.training.data import FeatureSet
from edge_agent.features.image import picture_codes
from edge_agent.sources.picture import read_picture
from tests.fixtures.picture_features import write_picture_features

LABELS = ("cat", "dog")
SMALL = ImageExampleGenParameters(shards=2)
STILL = ViewParameters(turn=0.0, zoom=0.0, shift=0.0, brightness=0.0, contrast=0.0, noise=0.0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty pictures of noise a label, of several kinds, sizes and names."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    for place, label in enumerate(LABELS):
        (root / label).mkdir(parents=True)
        for number in range(20):
            size = (10 + number, 14, 3) if number % 2 else (12, 12)
            pixels = rng.integers(100 * place, 100 * place + 100, size, np.uint8)
            kind = ("png", "jpg", "bmp")[number % 3]
            Image.fromarray(pixels).save(root / label / f"{number:02d}.{kind}")
    return root


def artifact(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def examples(data: Path, folder: Path, previous: Path | None = None, p=SMALL) -> Path:
    inputs = {"recordings": data} | ({PREVIOUS: previous} if previous else {})
    generate(inputs, {"examples": artifact(folder)}, p)
    return folder


def refusal(data: Path, folder: Path) -> str:
    with pytest.raises(UserError) as e:
        examples(data, folder)
    return str(e.value)


def statistics(data: Path, tmp_path: Path) -> Path:
    made = examples(data, tmp_path / "examples")
    folder = artifact(tmp_path / "statistics")
    count({"examples": made}, {"statistics": folder}, ImageStatisticsGenParameters())
    return folder


def findings(data: Path, tmp_path: Path, **parameters) -> list[dict]:
    made = statistics(data, tmp_path)
    out = {name: artifact(tmp_path / name) for name in ("validation", "schema")}
    validate({"statistics": made}, out, ImageExampleValidatorParameters(**parameters))
    return read_json(out["validation"] / "anomalies.json")


def test_every_picture_is_in_one_split_with_its_bytes(data: Path, tmp_path: Path):
    folder = examples(data, tmp_path / "examples")
    found = [
        p for split in SPLITS for path in shard_paths(folder, split) for p in read_pictures(path)
    ]
    assert sorted(p.path for p in found) == sorted(
        path.relative_to(data).as_posix() for path in data.rglob("*.*")
    )
    assert all(p.image == (data / p.path).read_bytes() for p in found)
    one = next(p for p in found if p.path == "dog/00.png")
    assert (one.height, one.width, one.colours, one.label, one.speaker) == (12, 12, 1, "dog", "")
    assert 0.5 < one.brightness < 0.7
    about = read_json(folder / "examples.json")
    assert about["labels"] == list(LABELS)
    assert all(about["splits"][split]["labels"].keys() == set(LABELS) for split in SPLITS)


def test_what_a_name_holds_together_stays_in_one_split(data: Path, tmp_path: Path):
    for label in LABELS:
        for number, path in enumerate(sorted((data / label).iterdir())):
            group = number // 4
            path.rename(path.with_name(f"house{group}_nohash_{number}{path.suffix}"))
    folder = examples(data, tmp_path / "examples")
    splits = {
        split: {p.speaker for path in shard_paths(folder, split) for p in read_pictures(path)}
        for split in SPLITS
    }
    assert set.union(*splits.values()) == {f"house{n}" for n in range(5)}
    assert sum(map(len, splits.values())) == 5


def test_shards_whose_pictures_did_not_change_are_taken_over(data: Path, tmp_path: Path):
    first = examples(data, tmp_path / "first")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(data / "cat" / "new.png")
    again = artifact(tmp_path / "again")
    metrics = generate({"recordings": data, PREVIOUS: first}, {"examples": again}, SMALL)
    assert metrics["shards_made"] == 1.0
    anew = examples(data, tmp_path / "anew")
    for path in anew.glob("*.tfrecord"):
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_bad_pictures_are_named_all_at_once(data: Path, tmp_path: Path):
    whole = (data / "cat" / "00.png").read_bytes()
    (data / "cat" / "00.png").write_bytes(whole[: len(whole) // 2])
    (data / "dog" / "03.png").write_text("just a text\n")
    (data / "dog" / "06.png").write_bytes(b"")
    said = refusal(data, tmp_path / "examples")
    assert "3 problems with the pictures" in said
    for expected in (
        "cat/00.png: is damaged",
        "dog/03.png: is no picture that can be read",
        "dog/06.png: is empty (0 bytes)",
    ):
        assert expected in said
    assert str(data / "dog") not in said.replace(f"{data}: 3 problems", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: [p.unlink() for p in root.rglob("*.*")], "holds no pictures"),
        (
            lambda root: [p.unlink() for p in (root / "dog").iterdir()],
            "are of one label only (cat)",
        ),
        (
            lambda root: [p.unlink() for p in list((root / "dog").iterdir())[2:]],
            "2 pictures in 2 groups cannot be divided",
        ),
    ],
)
def test_a_folder_without_enough_pictures_says_what_to_give(data, tmp_path, change, said):
    change(data)
    assert said in refusal(data, tmp_path / "examples")


def test_a_folder_without_pictures_is_left_out_with_a_warning(data, tmp_path, capfd):
    (data / "notes").mkdir()
    (data / "notes" / "readme.txt").write_text("hello")
    examples(data, tmp_path / "examples")
    assert "readme" not in (tmp_path / "examples" / "examples.json").read_text()


def test_the_validator_finds_copies_even_pictures_and_renamed_ones(data: Path, tmp_path: Path):
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(data / "cat" / "even.png")
    for name in ("cat/copy.png", "dog/renamed.png"):
        (data / name).write_bytes((data / "cat" / "00.png").read_bytes())
    paths = sorted(p.relative_to(data).as_posix() for p in data.rglob("*.*"))
    train = [p for p in paths if p[4:6] < "14" or "renamed" in p]
    test = [p for p in paths if p[4:6] > "16" and "renamed" not in p]
    lists = {"train": train, "test": test, "val": sorted({*paths} - {*train, *test})}
    for split, members in lists.items():
        (data / f"{split}.txt").write_text("\n".join(members) + "\n")
    with pytest.raises(UserError, match=r"cat/00.png \(train\) and cat/copy.png \(test\)"):
        findings(data, tmp_path / "a")
    found = findings(data, tmp_path / "b", copies="warning", few_pictures=1, even=0.0)
    assert [(f["severity"], f["what"]) for f in found] == [
        ("warning", "the same picture is in two splits"),
        ("warning", "1 of 5 pictures are even"),
    ]
    (data / "test.txt").write_text("\n".join(p for p in test if "copy" not in p) + "\n")
    found = findings(data, tmp_path / "c", few_pictures=1)
    assert found[0]["what"] == "the same picture has two labels"


def test_features_hold_what_the_device_computes_and_views_of_it(data: Path, tmp_path: Path):
    made = examples(data, tmp_path / "examples")
    folder = artifact(tmp_path / "features")
    p = ImageTransformParameters(height=16, width=20, colour="rgb", train_views=2, eval_views=1)
    transform({"examples": made}, {"features": folder}, p)
    features = FeatureSet.open(folder)
    assert (features.frames, features.channels, features.depth) == (16, 20, 3)
    for name, views in (("train", 3), ("val", 2), ("test", 2)):
        rows = features.split(name)
        described = features.description["splits"][name]
        assert rows.codes.shape == (views * described["clips"], 16, 20, 3)
        for clip, path in enumerate(described["paths"]):
            (row,) = np.flatnonzero((rows.clip == clip) & (rows.view == 0))
            expected = picture_codes(read_picture(data / path), features.picture)
            assert np.array_equal(rows.codes[row], expected)
            assert features.labels[rows.label[row]] == path.split("/")[0]
            other = rows.codes[(rows.clip == clip) & (rows.view == 1)][0]
            assert not np.array_equal(other, expected)
    again = artifact(tmp_path / "again")
    transform({"examples": made}, {"features": again}, p)
    assert (again / "train.codes.npy").read_bytes() == (folder / "train.codes.npy").read_bytes()


def test_a_view_moves_turns_and_keeps_the_rest():
    rng = np.random.default_rng(0)
    pixels = np.zeros((21, 31, 1), np.uint8)
    pixels[8:13, 10:21] = 200
    assert np.array_equal(make_view(pixels, STILL, rng), pixels)
    import dataclasses

    turned = make_view(pixels, dataclasses.replace(STILL, turn=180.0), _Fixed(math_turn=180.0))
    assert np.array_equal(turned, pixels[::-1, ::-1])
    lighter = make_view(pixels, dataclasses.replace(STILL, brightness=1.0), _Fixed(normal=30.0))
    assert set(lighter.ravel().tolist()) == {30, 230}


class _Fixed:
    """Draws that are known."""

    def __init__(self, math_turn: float = 0.0, normal: float = 0.0) -> None:
        self._turn, self._normal = math_turn, normal

    def uniform(self, low, high, size=None):
        if size is not None:
            return np.zeros(size)
        turn, self._turn = self._turn, 0.0
        return turn

    def normal(self, mean, spread, size=None):
        return self._normal if size is None else np.zeros(size)


def test_the_nearest_mean_is_a_baseline(tmp_path: Path):
    features = write_picture_features(tmp_path)
    assert nearest_mean(features.split("train"), features.split("test"), 3) == 1.0
    rows = features.split("test")
    rows.label[:] = (rows.label + 1) % 3
    assert nearest_mean(features.split("train"), rows, 3) == 0.0


def test_the_digits_are_real_pictures_in_folders(tmp_path: Path):
    metrics = write_digits({}, {"recordings": tmp_path}, HandwrittenDigitsParameters(most=3))
    assert metrics == {"pictures": 30.0}
    assert sorted(p.name for p in tmp_path.iterdir()) == [str(n) for n in range(10)]
    pixels = read_picture(sorted((tmp_path / "0").iterdir())[0])
    assert pixels.shape == (8, 8, 1)
    # A zero is hollow.
    assert pixels[3:5, 3:5].mean() < 60 < pixels[:, [2, 5]].mean()
