"""Clips for the labels that every keyword model needs and the recordings lack.

``_silence_`` is cut from the noise recordings, each split from its own stretch of each recording,
at 0 to 20 dB below their level. Without noise recordings (or with shorter ones than 10 clips), it
is generated: white, pink or brown noise at -60 to -25 dB of full scale.

``_unknown_`` is made of the keyword clips of the split's own speakers: two clips of one speaker, of
different words if there are, are cut into pieces of an eighth of a clip; pieces of both are
reversed in time and joined in random order. It has the voice and sounds of speech and no word in
it. It is a stand-in: recordings of other words teach more.

All draws come from the SHA-256 of the clip's name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.example_gen.decoding import (
    ClipFormat,
    Levels,
    decode_clip,
    example,
    file_digest,
    measure,
    open_recording,
)
from components.example_gen.plan import MadeSilence, MadeUnknown, stable_hash
from components.records import Example
from edge_agent.bundle.manifest import SILENCE, UNKNOWN
from edge_agent.features.audio import Float32, Pcm
from edge_agent.features.waveform import conform, fit

_STRETCH = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}
_PIECES = 8
_FADE_SECONDS = 0.005


def make_silence(root: Path, entry: MadeSilence, form: ClipFormat) -> Example:
    """A clip without a word; see the module.

    Raises:
        BadRecording: if its noise recording cannot be read.
    """
    random = np.random.default_rng(stable_hash(entry.name))
    pcm, digest = None, ""
    if entry.source:
        pcm = _cut(root, entry, form, random)
        digest = file_digest(root, entry.source)
    if pcm is None:
        pcm, digest = _generate(form, random), ""
    return _made(pcm, SILENCE, "", entry.name, digest, form)


def make_unknown(root: Path, entry: MadeUnknown, form: ClipFormat) -> Example:
    """A clip of pieces of words that is no word; see the module.

    Raises:
        BadRecording: if one of its sources cannot be used.
    """
    random = np.random.default_rng(stable_hash(entry.name))
    words = [decode_clip(root, path, UNKNOWN, "", form).pcm for path in entry.sources]
    size = -(-form.clip_samples // _PIECES)
    fade = min(round(_FADE_SECONDS * form.sample_rate), size // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, fade, endpoint=False)) ** 2
    window = np.ones(size)
    window[:fade], window[size - fade :] = ramp, ramp[::-1]
    pieces = []
    for index, at in enumerate(random.permutation(_PIECES)):
        word = np.pad(words[index % 2], (0, size * _PIECES - form.clip_samples))
        pieces.append(word[at * size : (at + 1) * size][::-1] * window)
    pcm = np.rint(np.concatenate(pieces)[: form.clip_samples]).astype(np.int16)
    return _made(pcm, UNKNOWN, entry.speaker, entry.name, "", form)


def _cut(
    root: Path, entry: MadeSilence, form: ClipFormat, random: np.random.Generator
) -> Pcm | None:
    low, high = _STRETCH[entry.split]
    with open_recording(root, entry.source) as file:
        frames = -(-form.clip_samples * file.samplerate // form.sample_rate)
        first, last = int(low * file.frames), int(high * file.frames) - frames
        if last < first:
            return None
        file.seek(int(random.integers(first, last + 1)))
        samples = file.read(frames, dtype="float32", always_2d=True)
        rate = file.samplerate
    gain = np.float32(10 ** (-random.uniform(0.0, 20.0) / 20))
    return fit(conform(np.nan_to_num(samples) * gain, rate, form.sample_rate), form.clip_samples)


def _generate(form: ClipFormat, random: np.random.Generator) -> Pcm:
    spectrum = np.fft.rfft(random.standard_normal(form.clip_samples))
    slope = random.choice([0.0, 0.5, 1.0])
    bins = np.maximum(np.arange(len(spectrum)), 1)
    noise = np.fft.irfft(spectrum * bins**-slope, form.clip_samples)
    level = 10 ** (random.uniform(-60.0, -25.0) / 20)
    signal: Float32 = (noise * (level / np.sqrt(np.mean(noise**2)))).astype(np.float32)
    return conform(signal, form.sample_rate, form.sample_rate)


def _made(pcm: Pcm, label: str, speaker: str, name: str, digest: str, form: ClipFormat) -> Example:
    levels: Levels = measure(pcm, full_scale=32_768.0)
    return example(
        pcm,
        label=label,
        speaker=speaker,
        path=name,
        digest=digest,
        rate=form.sample_rate,
        channels=1,
        seconds=form.clip_samples / form.sample_rate,
        levels=levels,
    )
