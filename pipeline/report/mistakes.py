"""The worst mistakes: what was said, what was heard, and what the model saw of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import soundfile
import soxr
from markupsafe import Markup

from edge_agent.features.audio import AudioFeatures, Pcm, clip_codes
from pipeline.report import plots

MOST = 12
_LONGEST_SECONDS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mistake:
    """One wrongly recognised recording.

    Attributes:
        path: the recording, relative to the recordings folder.
        truth: its label.
        said: what the model took it for.
        probability: how sure the model was (0..1).
        picture: waveform and features; empty if the recording cannot be shown.
        remark: why there is no picture, or why it may mislead; mostly empty.
    """

    path: str
    truth: str
    said: str
    probability: float
    picture: Markup
    remark: str


def worst_mistakes(
    worst: Sequence[Mapping[str, Any]], recordings: Path, features: Mapping[str, Any]
) -> list[Mistake]:
    """The first few of evaluation.json's ``worst``, re-read from `recordings` and drawn.

    Args:
        worst: entries with path, truth, said, probability and perhaps digest (SHA-256 of the
            file as it was, hex).
        recordings: the folder that the paths are relative to.
        features: ``features`` of features.json.
    """
    parameters = AudioFeatures(**features)
    return [_mistake(entry, recordings, parameters) for entry in worst[:MOST]]


def _mistake(entry: Mapping[str, Any], recordings: Path, features: AudioFeatures) -> Mistake:
    picture, remark = Markup(""), ""
    try:
        pcm, digest = _read(recordings, entry["path"], features.sample_rate)
    except FileNotFoundError:
        remark = "The recording is no longer there, so it cannot be shown."
    except (OSError, soundfile.LibsndfileError) as e:
        remark = f"The recording can no longer be read: {e}"
    else:
        if digest != entry.get("digest", digest):
            remark = "The recording has changed since the run: the picture shows it as it is now."
        codes = clip_codes(pcm, features)
        if len(codes):
            picture = plots.recording(pcm, codes, features.sample_rate, entry["path"])
        else:
            remark = "The recording is too short to show."
    return Mistake(
        path=entry["path"],
        truth=entry["truth"],
        said=entry["said"],
        probability=entry["probability"],
        picture=picture,
        remark=remark,
    )


def inside(folder: Path, path: str) -> Path:
    """The file at the relative `path` in `folder`.

    Raises:
        FileNotFoundError: if the path leads out of it.
    """
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise FileNotFoundError(path)
    return folder / relative


def _read(recordings: Path, path: str, sample_rate: int) -> tuple[Pcm, str]:
    """The recording as mono PCM at `sample_rate`, and the SHA-256 (hex) of its file."""
    file = inside(recordings, path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with soundfile.SoundFile(file) as source:
        samples = source.read(_LONGEST_SECONDS * source.samplerate, "float32", always_2d=True)
        rate = source.samplerate
    mono = np.nan_to_num(samples.mean(axis=1))
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate)
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16), digest
