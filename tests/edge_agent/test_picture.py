"""Reading pictures: the kinds that need nothing, those that need Pillow, and what is no picture."""

import io
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from edge_agent.sources import picture as source
from edge_agent.sources.picture import PictureError, decode_picture, read_picture
from tests.fixtures.bundles import npy_bytes

RGB = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
GREY = RGB[..., :1]


def encoded(pixels, kind, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def netpbm(kind: str, pixels, most=255, comment="") -> bytes:
    rows, columns = pixels.shape[:2]
    return f"{kind}\n{comment}{columns} {rows}\n{most}\n".encode() + pixels.tobytes()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (netpbm("P5", GREY), GREY),
        (netpbm("P6", RGB, comment="# made by hand\n"), RGB),
        (netpbm("P5", (GREY // 17).astype(np.uint8), most=15), GREY // 17 * 17),
        (netpbm("P5", (GREY.astype(np.uint16) * 257).astype(">u2"), most=65535), GREY),
        (npy_bytes(RGB), RGB),
        (npy_bytes(GREY[..., 0]), GREY),
    ],
)
def test_netpbm_and_numpy_need_no_further_package(data, expected, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert np.array_equal(decode_picture(data, "a"), expected)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_kinds_come_back_as_they_were(kind):
    assert np.array_equal(decode_picture(encoded(RGB, kind), "a"), RGB)
    assert np.array_equal(decode_picture(encoded(GREY[..., 0], kind), "a"), GREY)


def test_palettes_bits_sixteen_bits_and_transparency_become_plain():
    image = Image.fromarray(RGB).convert("P")
    stream = io.BytesIO()
    image.save(stream, "PNG")
    assert np.array_equal(decode_picture(stream.getvalue(), "a"), np.asarray(image.convert("RGB")))
    bits = Image.fromarray(GREY[..., 0]).convert("1")
    stream = io.BytesIO()
    bits.save(stream, "PNG")
    assert set(decode_picture(stream.getvalue(), "a").ravel().tolist()) <= {0, 255}
    wide = GREY[..., 0].astype(np.uint16) * 257
    assert np.array_equal(decode_picture(encoded(wide, "PNG"), "a"), GREY)
    clear = np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])
    assert not decode_picture(encoded(clear, "PNG"), "a").any()


def test_a_photograph_stands_upright():
    tall = np.zeros((30, 10, 3), np.uint8)
    tall[:15] = 255
    turned = Image.fromarray(np.rot90(tall).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    stream = io.BytesIO()
    turned.save(stream, "PNG", exif=exif)
    assert np.array_equal(decode_picture(stream.getvalue(), "a"), tall)


PNG = encoded(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8), "PNG")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"just some text\n", "is no picture that can be read"),
        (PNG[: len(PNG) // 2], "is damaged"),
        (netpbm("P5", GREY)[:-1], "ends after 34 of 35 bytes"),
        (b"P5 is how this text begins", "header is damaged"),
        (b"P5 0 5 255\n", "holds no pixels"),
        (b"P5 5 5 0\n" + bytes(25), "largest value is 0"),
        (b"P6 9999999 9999999 255\n", "million are read"),
        (npy_bytes(np.zeros((4, 4, 2), np.uint8)), "a picture is uint8"),
        (npy_bytes(np.zeros((4, 4))), "a picture is uint8"),
        (npy_bytes(RGB)[:-1], "does not fit its data"),
        (encoded(RGB, "GIF"), "is no picture that can be read"),
    ],
)
def test_what_is_no_picture_is_named_with_the_reason(data, said):
    with pytest.raises(PictureError, match=said) as e:
        decode_picture(data, "cats/tom.png")
    assert "cats/tom.png" in str(e.value)


def test_a_picture_is_measured_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(source, "MAX_PIXELS", 1599)
    with pytest.raises(PictureError, match="40 x 40 pixels"):
        decode_picture(PNG, "a")


def test_without_pillow_a_png_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(PictureError, match=r"pip install 'edge_agent\[pictures\]'"):
        decode_picture(PNG, "a")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PictureError, match=r"gone.png: cannot be read"):
        read_picture(tmp_path / "gone.png")


SEEDS = [
    PNG,
    encoded(RGB, "BMP"),
    encoded(RGB, "JPEG"),
    netpbm("P6", RGB),
    npy_bytes(RGB),
    encoded(GREY[..., 0].astype(np.uint16), "PNG"),
]


@given(st.sampled_from(SEEDS), st.integers(0, 4000), st.binary(max_size=6), st.integers(0, 4000))
@example(PNG, 16, bytes(4), 4000)
def test_damaged_bytes_are_a_picture_or_a_plain_error(seed, at, patch, length):
    data = (seed[: at % len(seed)] + patch + seed[at % len(seed) + len(patch) :])[:length]
    try:
        pixels = decode_picture(data, "a")
    except PictureError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
