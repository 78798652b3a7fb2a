"""Pictures from files: netpbm (PGM, PPM) and `.npy` by themselves, PNG, JPEG and BMP through Pillow.

What a file is, is told by its first bytes, not by its name. Reading treats it as hostile: its size is
bounded before anything is decoded. Pillow is needed for its own three kinds alone, so that a device whose
camera gives raw frames does without it.

Source: netpbm's pages pgm(5) and ppm(5).
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np

from edge_agent.bundle.archive import BundleError, read_array
from edge_agent.features.image import Pixels

MAX_PIXELS = 1 << 25
MAX_FILE_BYTES = 60 << 20
_PILLOW = ("PNG", "JPEG", "BMP")
_BLANK = rb"(?:\s|#[^\n]*\n)+"
_NETPBM = re.compile(
    rb"P([56])" + _BLANK + rb"(\d{1,7})" + _BLANK + rb"(\d{1,7})" + _BLANK + rb"(\d{1,5})\s"
)
_AGAIN = "export it again, or leave it out"


class PictureError(Exception):
    """The picture cannot be read; the message names the file, the reason and the next step."""


def read_picture(path: Path | str) -> Pixels:
    """The picture at `path`, upright: uint8, shape (rows, columns, 1) or (rows, columns, 3).

    What is transparent lies on black. Sixteen bits a value become eight.

    Raises:
        PictureError: if it cannot be read, or is no picture.
    """
    return decode_picture(picture_bytes(path), str(path))


def picture_bytes(path: Path | str) -> bytes:
    """The bytes of the file at `path`, one more than may be decoded at most.

    Raises:
        PictureError: if it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as e:
        raise PictureError(f"{path}: cannot be read: {e.strerror}") from e


def decode_picture(data: bytes, name: str) -> Pixels:
    """The picture that the bytes of a file hold; see `read_picture`.

    Args:
        data: the whole file.
        name: what errors call it.

    Raises:
        PictureError: if it is no picture that can be read.
    """
    if not data:
        raise PictureError(f"{name}: is empty (0 bytes): {_AGAIN}")
    if len(data) > MAX_FILE_BYTES:
        raise PictureError(f"{name}: is larger than {MAX_FILE_BYTES >> 20} MB: make it smaller")
    if data.startswith((b"P5", b"P6")):
        return _netpbm(data, name)
    if data.startswith(b"\x93NUMPY"):
        return _array(data, name)
    return _through_pillow(data, name)


def _netpbm(data: bytes, name: str) -> Pixels:
    header = _NETPBM.match(data)
    if header is None:
        raise PictureError(f"{name}: its netpbm header is damaged: {_AGAIN}")
    kind, columns, rows, most = (int(group) for group in header.groups())
    depth = 3 if kind == 6 else 1
    if not 1 <= most <= 65_535:
        raise PictureError(f"{name}: its largest value is {most}, not 1 to 65535: {_AGAIN}")
    _check_size(rows, columns, name)
    wide = np.dtype(np.uint8 if most < 256 else ">u2")
    size = rows * columns * depth * wide.itemsize
    body = data[header.end() : header.end() + size]
    if len(body) < size:
        raise PictureError(f"{name}: ends after {len(body)} of {size} bytes of pixels: {_AGAIN}")
    values = np.frombuffer(body, wide).reshape(rows, columns, depth)
    if most == 255:
        return values.astype(np.uint8)
    scaled = (values.astype(np.uint32) * 255 + most // 2) // most
    return np.minimum(scaled, 255).astype(np.uint8)


def _array(data: bytes, name: str) -> Pixels:
    try:
        array = read_array({name: data}, name)
    except BundleError as e:
        raise PictureError(f"{e}: save it with numpy.save, or leave it out") from e
    shaped = array[..., None] if array.ndim == 2 else array
    if array.dtype != np.uint8 or shaped.ndim != 3 or shaped.shape[2] not in (1, 3):
        raise PictureError(
            f"{name}: holds {array.dtype} of shape {array.shape}: a picture is uint8 of shape (rows, "
            "columns), (rows, columns, 1) or (rows, columns, 3)"
        )
    _check_size(shaped.shape[0], shaped.shape[1], name)
    return shaped.astype(np.uint8)


def _through_pillow(data: bytes, name: str) -> Pixels:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as e:
        raise PictureError(
            f"{name}: is neither PGM, PPM nor .npy, which are read without help: "
            "pip install 'edge_agent[pictures]' for PNG, JPEG and BMP"
        ) from e
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(data), formats=_PILLOW)
        with image:
            _check_size(image.height, image.width, name)
            upright = ImageOps.exif_transpose(image)
            return np.array(_plain(upright), np.uint8).reshape(upright.height, upright.width, -1)
    except UnidentifiedImageError as e:
        raise PictureError(
            f"{name}: is no picture that can be read (PNG, JPEG, BMP, PGM, PPM or .npy): "
            "convert it, or leave it out"
        ) from e
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as e:
        raise PictureError(f"{name}: claims too many pixels: make it smaller") from e
    # What a damaged file makes of Pillow's decoders: SyntaxError for a broken PNG chunk, others besides.
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, OverflowError) as e:
        raise PictureError(f"{name}: is damaged ({e}): {_AGAIN}") from e
    except (EOFError, MemoryError, RuntimeError, AttributeError) as e:
        raise PictureError(f"{name}: cannot be decoded ({type(e).__name__}): {_AGAIN}") from e


def _plain(image: object) -> object:
    """A Pillow picture in 8 bits, grey or RGB, on black where it is transparent."""
    from PIL import Image

    assert isinstance(image, Image.Image)
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64)
        # 16-bit PNG; its 32-bit kinds hold 16 bits as well.
        return Image.fromarray((np.clip(values, 0, 65_535) / 257 + 0.5).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(below, image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _check_size(rows: int, columns: int, name: str) -> None:
    if not rows or not columns:
        raise PictureError(f"{name}: holds no pixels: {_AGAIN}")
    if rows * columns > MAX_PIXELS:
        raise PictureError(
            f"{name}: has {columns} x {rows} pixels; at most {MAX_PIXELS >> 20} million are read: "
            "make it smaller"
        )
