"""Signals of vibration or sound: WAV files, and MATLAB files of one array each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from components.base import UserError

_BLOCK_SAMPLES = 1 << 20

Samples = npt.NDArray[np.float32]


def is_healthy(name: str, beginnings: Sequence[str]) -> bool:
    """Whether a file's name, or a folder's that it lies in, says that it is healthy."""
    parts = [part.casefold() for part in PurePath(name).parts]
    return any(part.startswith(b.casefold()) for part in parts for b in beginnings)


def open_signal(path: Path, sample_rate: int) -> tuple[int, int, Iterator[Samples]]:
    """The rate in Hz, the number of channels, and the samples, shape (n, channels).

    Args:
        path: a .wav or .mat file.
        sample_rate: of .mat files, which do not say it.

    Raises:
        UserError: if the file cannot be read as a signal.
    """
    return _wav(path) if path.suffix.lower() == ".wav" else _mat(path, sample_rate)


def _wav(path: Path) -> tuple[int, int, Iterator[Samples]]:
    import soundfile

    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as e:
        raise UserError(f"{path}: is no WAV file that can be read ({e}): leave it out") from e
    blocks = soundfile.blocks(path, _BLOCK_SAMPLES, dtype="float32", always_2d=True)
    return int(info.samplerate), int(info.channels), blocks


def _mat(path: Path, sample_rate: int) -> tuple[int, int, Iterator[Samples]]:
    import scipy.io

    try:
        content: dict[str, Any] = scipy.io.loadmat(path)
    except (OSError, ValueError, NotImplementedError, TypeError, scipy.io.matlab.MatReadError) as e:
        raise UserError(
            f"{path}: is no MATLAB file up to version 7 ({e}): save it with -v7, or leave it out"
        ) from e
    arrays = {
        name: np.asarray(value)
        for name, value in content.items()
        if not name.startswith("__") and np.asarray(value).dtype.kind in "fiu"
    }
    # A rate or a count may stand beside the signal.
    long = {name: array for name, array in arrays.items() if array.size > 1}
    if len(long) != 1:
        raise UserError(
            f"{path}: holds {len(long)} arrays of numbers ({', '.join(sorted(long)[:6])}), and one "
            "signal a file is needed: save the signal alone"
        )
    (array,) = long.values()
    columns = array.reshape(len(array), -1) if array.ndim > 1 else array[:, None]
    samples = np.asarray(columns.T if columns.shape[0] < columns.shape[1] else columns, np.float32)
    return sample_rate, samples.shape[1], iter([samples])
