"""From a file to the PCM of a clip, by the device's own conversion, with its levels as found."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from components.example_gen.problems import BadRecording, Problem
from components.records import BACKGROUND_NOISE, Example
from edge_agent.bundle.manifest import SILENCE
from edge_agent.features.audio import Pcm
from edge_agent.features.waveform import StreamConformer, conform, fit

NOISE_PIECE_SECONDS = 60
_FULL_SCALE = 32_768.0
# A 16-bit converter at its stops gives 0.99997, an 8-bit one -1.
_STOPS = 0.999
_READ_BYTES = 1 << 16
_AGAIN = "record or export it again, or remove it"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipFormat:
    """What a clip is like: samples a second (Hz), samples, and its longest recording (seconds)."""

    sample_rate: int
    clip_samples: int
    longest_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Levels:
    """Levels of a signal; see `components.records.Example`."""

    peak: float
    rms: float
    dc_offset: float
    clipped_share: float


def decode_clip(root: Path, path: str, label: str, speaker: str, form: ClipFormat) -> Example:
    """The clip of the recording at `path`, relative to `root`.

    Raises:
        BadRecording: if it cannot be read, is no sound, or is too long.
    """
    digest = file_digest(root, path)
    with open_recording(root, path) as file:
        rate, channels = file.samplerate, file.channels
        if file.frames > form.longest_seconds * rate:
            raise _bad(
                path,
                f"is {file.frames / rate:.0f} s long; a clip is one word of at most "
                f"{form.longest_seconds:g} s",
                "cut it to the word, or raise ExampleGen.longest_seconds",
            )
        # A clip as the front end takes it needs no conversion, and no floats to be measured.
        as_is = file.subtype == "PCM_16" and (rate, channels) == (form.sample_rate, 1)
        samples = file.read(dtype="int16" if as_is else "float32", always_2d=True)
    if not len(samples):
        raise _bad(path, "holds no samples", _AGAIN)
    found = measure(samples, full_scale=_FULL_SCALE if as_is else 1.0)
    if not (math.isfinite(found.peak) and math.isfinite(found.rms)):
        raise _bad(path, "holds samples that are not finite numbers (NaN or infinity)", _AGAIN)
    signal = samples[:, 0] if channels == 1 else samples
    whole = signal if as_is else conform(signal, rate, form.sample_rate)
    pcm = fit(whole, form.clip_samples)
    if label != SILENCE and pcm.min() == pcm.max():
        everywhere = "is silent: every sample is the same"
        middle = "is silent in its middle, which is what is kept of it"
        raise _bad(path, everywhere if samples.min() == samples.max() else middle, _AGAIN)
    return example(
        pcm,
        label=label,
        speaker=speaker,
        path=path,
        digest=digest,
        rate=rate,
        channels=channels,
        seconds=len(samples) / rate,
        levels=found,
    )


def noise_pieces(root: Path, path: str, form: ClipFormat) -> Iterator[Example]:
    """The noise recording at `path` in pieces of up to 60 s; levels are those of each piece.

    Raises:
        BadRecording: if it cannot be read or holds no sound.
    """
    digest = file_digest(root, path)
    piece_samples = NOISE_PIECE_SECONDS * form.sample_rate
    with open_recording(root, path) as file:
        rate, channels, frames = file.samplerate, file.channels, file.frames

        def piece(pcm: Pcm) -> Example:
            return example(
                pcm,
                label=BACKGROUND_NOISE,
                speaker="",
                path=path,
                digest=digest,
                rate=rate,
                channels=channels,
                seconds=frames / rate,
                levels=measure(pcm, full_scale=_FULL_SCALE),
            )

        sounds = False
        held: Pcm = np.zeros(0, np.int16)
        for pcm in _stream(file, path, form.sample_rate):
            held = np.concatenate([held, pcm])
            sounds = sounds or bool(pcm.any())
            while len(held) >= piece_samples:
                yield piece(held[:piece_samples])
                held = held[piece_samples:]
        if not sounds:
            raise _bad(path, "is silent: every sample is the same", _AGAIN)
        if len(held):
            yield piece(held)


def example(
    pcm: Pcm,
    *,
    label: str,
    speaker: str,
    path: str,
    digest: str,
    rate: int,
    channels: int,
    seconds: float,
    levels: Levels,
) -> Example:
    """The record of `pcm`; an empty `digest` becomes that of the PCM."""
    audio = pcm.astype("<i2").tobytes()
    decoded = hashlib.sha256(audio).hexdigest()
    return Example(
        audio=audio,
        label=label,
        speaker=speaker,
        path=path,
        digest=digest or decoded,
        decoded_digest=decoded,
        source_rate=rate,
        source_channels=channels,
        source_seconds=seconds,
        peak=levels.peak,
        rms=levels.rms,
        dc_offset=levels.dc_offset,
        clipped_share=levels.clipped_share,
    )


def measure(samples: npt.NDArray[Any], *, full_scale: float) -> Levels:
    """Levels of `samples` (any shape, nominally within `full_scale`); not finite where they are not."""
    flat = samples.reshape(-1)
    low, high = float(flat.min()) / full_scale, float(flat.max()) / full_scale
    peak = max(-low, high)
    if not math.isfinite(low) or not math.isfinite(high):
        return Levels(peak=math.nan, rms=math.nan, dc_offset=math.nan, clipped_share=math.nan)
    wide = flat.astype(np.float64)
    clipped = float(np.mean(np.abs(wide) >= _STOPS * full_scale)) if peak >= _STOPS else 0.0
    # Rounded to far below a 16-bit step, so that no order of summation shows in the bytes.
    return Levels(
        peak=min(1.0, peak),
        rms=min(1.0, round(math.sqrt(float(np.dot(wide, wide)) / len(wide)) / full_scale, 7)),
        dc_offset=max(-1.0, min(1.0, round(float(wide.mean()) / full_scale, 7))),
        clipped_share=round(clipped, 7),
    )


def file_digest(root: Path, path: str) -> str:
    """SHA-256 of the file at `path`, hex.

    Raises:
        BadRecording: if it is empty or cannot be read.
    """
    try:
        with (root / path).open("rb", buffering=0) as file:
            chunk = file.read(_READ_BYTES)
            if not chunk:
                raise _bad(path, "is empty (0 bytes)", "record it again or remove it")
            # hashlib.file_digest clears a buffer of 256 KB first: longer than a clip takes to hash.
            digest = hashlib.sha256(chunk)
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
            return digest.hexdigest()
    except OSError as e:
        raise _bad(path, f"cannot be read ({e.strerror})", "change its permissions") from e


@contextmanager
def open_recording(root: Path, path: str) -> Iterator[soundfile.SoundFile]:
    """The recording at `path`, opened; errors in reading it become `BadRecording`."""
    try:
        with soundfile.SoundFile(root / path) as file:
            yield file
    except (soundfile.SoundFileError, TypeError) as e:
        reason = getattr(e, "error_string", str(e)).rstrip(".")
        raise _bad(
            path,
            f"is not a recording that can be read ({reason})",
            "convert it to WAV or remove it",
        ) from e


def _stream(file: soundfile.SoundFile, path: str, rate: int) -> Iterator[Pcm]:
    conformer = StreamConformer(file.samplerate, rate)
    while len(block := file.read(10 * file.samplerate, dtype="float32", always_2d=True)):
        if not np.isfinite(block).all():
            raise _bad(path, "holds samples that are not finite numbers (NaN or infinity)", _AGAIN)
        yield conformer.process(block)
    yield conformer.finish()


def _bad(path: str, what: str, advice: str) -> BadRecording:
    return BadRecording(Problem(path, what, advice))
