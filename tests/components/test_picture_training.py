"""Training steps on pictures: batches, colour, mirrors, and architectures of a deeper input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from components.training.data import FeatureSet, as_inputs, groups
from components.training.parameters import FeatureAugmentation, TrainingParameters
from edge_agent.features.audio import INPUT_SCALE
from edge_agent.features.image import ImageFeatures
from tests.fixtures.apart import with_tensorflow
from tests.fixtures.picture_features import COLOURED, PICTURE_LABELS, write_picture_features

PLAIN = FeatureAugmentation(**{f.name: 0.0 for f in dataclasses.fields(FeatureAugmentation)})


def drawn(features: FeatureSet, augmentation: FeatureAugmentation, batch: int = 32) -> np.ndarray:
    from components.training.sampler import Sampler

    return Sampler(features, augmentation, batch, 1, 0.13).draw(0)[0].numpy()


def test_a_feature_set_tells_pictures_from_sound(tmp_path: Path):
    features = write_picture_features(tmp_path)
    assert features.picture == COLOURED
    assert (features.frames, features.channels, features.depth) == (16, 12, 3)
    with pytest.raises(TypeError, match="of pictures, not of sound"):
        _ = features.features


def test_labels_without_unknown_and_silence_are_one_group(tmp_path: Path):
    rows = write_picture_features(tmp_path).split("train")
    ((share, places),) = groups(rows, PICTURE_LABELS, 0.13)
    assert share == 1.0
    assert len(places) == len(rows.label)


@pytest.mark.slow
@with_tensorflow
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_without_augmentation_a_batch_is_the_pictures_as_they_are(tmp_path: Path, colour: str):
    form = ImageFeatures(height=16, width=12, colour=colour)
    features = write_picture_features(tmp_path, features=form, views=0)
    inputs = drawn(features, PLAIN)
    assert inputs.shape == (32, 16, 12, form.depth)
    known = as_inputs(np.asarray(features.split("train").codes))
    for picture in inputs:
        assert (np.abs(known - picture).max((1, 2, 3)) < 1e-5).sum() == 1


@pytest.mark.slow
@with_tensorflow
def test_a_mirror_turns_left_to_right_and_moves_no_colour(tmp_path: Path):
    features = write_picture_features(tmp_path, views=0)
    turned = drawn(features, dataclasses.replace(PLAIN, mirror=1.0))
    known = as_inputs(np.asarray(features.split("train").codes))[:, :, ::-1]
    for picture in turned:
        assert (np.abs(known - picture).max((1, 2, 3)) < 1e-5).sum() == 1


@pytest.mark.slow
@with_tensorflow
def test_shifts_and_stretches_move_the_colours_together(tmp_path: Path):
    features = write_picture_features(tmp_path, views=0)
    codes = np.load(tmp_path / "train.codes.npy")
    codes[:] = codes[..., :1]
    np.save(tmp_path / "train.codes.npy", codes)
    grey = drawn(
        features, TrainingParameters(warp=0.2, warp_shift=3.0, mask_share=1.0).augmentation()
    )
    assert np.ptp(grey, axis=3).max() < 1e-5
    assert np.abs(grey).max() <= 128 * INPUT_SCALE


@pytest.mark.slow
@with_tensorflow
def test_architectures_take_colour_and_convert_to_int8():
    from components.converter.convert import to_int8
    from components.models import registry
    from components.targets.flatbuffer import parse_graph

    for name, widths in (("squeezenet", (8, 12)), ("shufflenet", (16, 32))):
        assert registry.build(name, 16, 12, 3, widths, depth=3).input_shape == (None, 16, 12, 3)
    model = registry.build("mobilenet_v1", 16, 12, 3, (8, 12), depth=3)
    codes = np.random.default_rng(0).integers(-128, 128, (4, 16, 12, 3)).astype(np.int8)
    graph = parse_graph(to_int8(model, codes))
    assert tuple(graph.tensors[graph.inputs[0]].shape) == (1, 16, 12, 3)
    assert not graph.float_tensors


@pytest.mark.slow
@with_tensorflow
def test_an_architecture_that_takes_no_colour_says_so():
    from components.base import UserError
    from components.models import registry

    with pytest.raises(UserError, match="tc_resnet does not fit 16 frames x 12 x 3"):
        registry.build("tc_resnet", 16, 12, 3, (8, 12), depth=3)
