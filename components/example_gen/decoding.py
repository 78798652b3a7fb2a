"""From a file to the PCM of a clip, by the device's own conversion, with its levels as found."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import struct
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
_WHOLE_BYTES = 1 << 20
# RIFF header, format of PCM, header of the samples (see edge_agent.sources.wav).
_WAV = struct.Struct("<4sI4s8sHHIIHH4sI")
_FORMAT_OF_16_BYTES = b"fmt \x10\0\0\0"
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
    digest, whole = _read(root, path)
    samples, rate = _samples(root, path, whole, form)
    channels, as_is = samples.shape[1], samples.dtype == np.int16
    if not len(samples):
        raise _bad(path, "holds no samples", _AGAIN)
    found = measure(samples, full_scale=_FULL_SCALE if as_is else 1.0)
    if not (math.isfinite(found.peak) and math.isfinite(found.rms)):
        raise _bad(path, "holds samples that are not finite numbers (NaN or infinity)", _AGAIN)
    signal = samples[:, 0] if channels == 1 else samples
    conformed = signal if as_is else conform(signal, rate, form.sample_rate)
    pcm = fit(conformed, form.clip_samples)
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


def _samples(root: Path, path: str, whole: bytes, form: ClipFormat) -> tuple[npt.NDArray[Any], int]:
    """A clip's samples (frames, channels) and their rate, Hz.

    They are int16 if the clip is as the front end takes it, so needs no conversion and no floats to be
    measured; float32 otherwise.
    """
    plain = plain_pcm(whole, form.sample_rate)
    if plain is not None and len(plain) <= form.longest_seconds * form.sample_rate:
        return plain.reshape(-1, 1), form.sample_rate
    with open_recording(root, path) as file:
        rate = file.samplerate
        if file.frames > form.longest_seconds * rate:
            raise _bad(
                path,
                f"is {file.frames / rate:.0f} s long; a clip is one word of at most "
                f"{form.longest_seconds:g} s",
                "cut it to the word, or raise ExampleGen.longest_seconds",
            )
        as_is = file.subtype == "PCM_16" and (rate, file.channels) == (form.sample_rate, 1)
        return file.read(dtype="int16" if as_is else "float32", always_2d=True), rate


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
    return _read(root, path)[0]


def plain_pcm(data: bytes, rate: int) -> Pcm | None:
    """The samples of `data`, a whole WAV file of 16-bit mono PCM at `rate`; None for any other file.

    The most frequent kind by far, and read here in a hundredth of the time that a library takes to
    open a file. Anything that is not exactly that is the library's to judge.
    """
    if len(data) < _WAV.size or len(data) % 2:
        return None
    riff, length, wave, form, code, channels, found_rate, _, frame, bits, kind, size = _WAV.unpack(
        data[: _WAV.size]
    )
    marks = (riff, wave, form, kind) == (b"RIFF", b"WAVE", _FORMAT_OF_16_BYTES, b"data")
    sizes = (length, size) == (len(data) - 8, len(data) - _WAV.size)
    if not marks or not sizes or (code, channels, frame, bits) != (1, 1, 2, 16):
        return None
    return np.frombuffer(data, "<i2", offset=_WAV.size) if found_rate == rate else None


def _read(root: Path, path: str) -> tuple[str, bytes]:
    """SHA-256 of a file, hex, and its bytes; no bytes if it is longer than a clip would be."""
    try:
        with (root / path).open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > _WHOLE_BYTES:
                return hashlib.file_digest(file, "sha256").hexdigest(), b""
            # A buffer of 256 KB, as file_digest clears it first, takes longer than a clip does.
            whole = file.read()
    except OSError as e:
        raise _bad(path, f"cannot be read ({e.strerror})", "change its permissions") from e
    if not whole:
        raise _bad(path, "is empty (0 bytes)", "record it again or remove it")
    return hashlib.sha256(whole).hexdigest(), whole


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
