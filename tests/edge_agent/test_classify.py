"""Bundles for pictures: read, tested on the device, and run by ``classify``."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from edge_agent import selftest
from edge_agent.bundle.archive import BundleError, read
from edge_agent.classification import ClassifierError
from edge_agent.features.image import ImageFeatures
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.pictures.classifier import PictureClassifier
from tests.fixtures.bundles import make_bundle
from tests.fixtures.picture_bundles import SIDES, picture, write_picture_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_picture_bundle(tmp_path_factory.mktemp("pictures") / "sides.bundle")


def classify(*arguments):
    command = [sys.executable, "-m", "edge_agent", "classify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
@pytest.mark.parametrize("side", SIDES)
def test_pictures_of_any_size_and_depth_are_decided(bundle, runtime, side):
    opened = read(bundle)
    classifier = PictureClassifier(opened.manifest, opened.files, runtime=runtime)
    for size in ({}, {"rows": 9, "columns": 100}, {"depth": 3}):
        scores = classifier.classify(picture(side, **size))
        assert classifier.labels[int(scores.argmax())] == side
        assert scores.sum() == pytest.approx(1.0, abs=0.02)


def test_the_self_test_runs_the_golden_pictures(bundle):
    result = selftest.run(read(bundle))
    assert (result.vectors, result.runtime) == (2, "litert")


def test_each_picture_has_a_line_and_a_bad_one_stops_no_other(bundle, tmp_path):
    pixels = picture("left")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "left.png")
    np.save(tmp_path / "right.npy", picture("right"))
    (tmp_path / "text.png").write_text("not a picture")
    files = [tmp_path / name for name in ("left.png", "text.png", "right.npy")]
    done = classify("--bundle", bundle, *files, "--json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {files[1]}: is no picture")
    assert done.stderr.count("\n") == 1
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["file"], first["label"]) == (str(files[0]), "left")
    assert (second["file"], second["label"]) == (str(files[2]), "right")
    assert set(first["scores"]) == set(SIDES)
    assert first["score"] == max(first["scores"].values())


def test_bundles_and_commands_that_do_not_belong_together_say_so(bundle, tmp_path):
    words = read(make_bundle(tmp_path / "words.bundle"))
    with pytest.raises(ClassifierError, match="for keyword_spotting, not for image_classification"):
        PictureClassifier(words.manifest, words.files)
    pictures = read(bundle)
    with pytest.raises(ClassifierError, match="for image_classification, not for keyword_spotting"):
        KeywordClassifier(pictures.manifest, pictures.files)


def test_a_manifest_that_does_not_fit_its_model_is_refused(tmp_path):
    wrong = write_picture_bundle(tmp_path / "a.bundle", features=ImageFeatures(height=16, width=16))
    opened = read(wrong)
    with pytest.raises(ClassifierError, match="the manifest says"):
        PictureClassifier(opened.manifest, opened.files)
    twice = write_picture_bundle(tmp_path / "b.bundle", labels=("left", "left"))
    with pytest.raises(BundleError, match="2 to 1000 different words"):
        read(twice)
    absent = write_picture_bundle(tmp_path / "c.bundle", model="other.tflite")
    with pytest.raises(BundleError, match=r"other.tflite is used but not listed"):
        read(absent)
