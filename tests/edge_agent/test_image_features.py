"""Pictures to codes: the whole range, any size, exact, and like another implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_agent.features.image import ImageFeatures, picture_codes


def noise(rows, columns, depth, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, depth), np.uint8)


def test_a_picture_of_the_model_s_own_size_passes_value_by_value():
    pixels = noise(16, 12, 1)
    codes = picture_codes(pixels, ImageFeatures(height=16, width=12))
    assert codes.dtype == np.int8
    assert np.array_equal(codes.astype(int), pixels[..., 0].astype(int) - 128)


@pytest.mark.parametrize(("rows", "columns"), [(50, 70), (32, 9), (5, 4), (33, 200)])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_resizing_is_what_pillow_s_is_to_a_step(rows, columns, colour):
    depth = 1 if colour == "grey" else 3
    pixels = noise(rows, columns, depth)
    features = ImageFeatures(height=20, width=24, colour=colour)
    image = Image.fromarray(pixels[..., 0] if depth == 1 else pixels)
    expected = np.asarray(image.resize((24, 20), Image.Resampling.BILINEAR)).astype(int) - 128
    codes = picture_codes(pixels, features)
    assert codes.shape == expected.shape == features.shape
    assert np.abs(codes - expected).max() <= 1


def test_grey_is_the_luma_and_rgb_of_grey_is_three_times_the_same():
    pixels = noise(20, 20, 3)
    luma = np.asarray(Image.fromarray(pixels).convert("L")).astype(int) - 128
    grey = picture_codes(pixels, ImageFeatures(height=20, width=20))
    assert np.abs(grey - luma).max() <= 1
    coloured = picture_codes(pixels[..., :1], ImageFeatures(height=20, width=20, colour="rgb"))
    assert np.array_equal(coloured, np.repeat(coloured[..., :1], 3, axis=2))


@given(
    st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]), st.sampled_from([0, 77, 255])
)
def test_an_even_picture_gives_even_codes_whatever_its_size(rows, columns, depth, value):
    codes = picture_codes(
        np.full((rows, columns, depth), value, np.uint8), ImageFeatures(height=13, width=17)
    )
    assert set(codes.ravel().tolist()) == {value - 128}


def test_crop_takes_the_middle_that_has_the_shape_and_stretch_takes_all():
    pixels = np.zeros((20, 60, 1), np.uint8)
    pixels[:, 20:40] = 200
    cropped = picture_codes(pixels, ImageFeatures(height=16, width=16, fit="crop"))
    assert set(cropped.ravel().tolist()) == {72}
    whole = picture_codes(pixels, ImageFeatures(height=16, width=16))
    assert (whole[0, 0], whole[0, 8], whole[0, 15]) == (-128, 72, -128)


@pytest.mark.parametrize(
    "wrong", [{"height": 7}, {"width": 513}, {"colour": "cmyk"}, {"fit": "letterbox"}]
)
def test_settings_that_no_model_could_be_made_for_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        ImageFeatures(**wrong)
