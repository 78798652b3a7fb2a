"""Sound in events: ``audio-start`` and ``audio-chunk`` say their format, and chunks hold samples."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edge_agent.features.audio import Float32
from edge_agent.wyoming.protocol import Event, ProtocolError

_MOST_CHANNELS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioFormat:
    """How samples lie in a payload: 16-bit little-endian, the channels side by side.

    Attributes:
        rate: frames a second, Hz.
        channels: samples of a frame.
    """

    rate: int
    channels: int


def audio_format(event: Event) -> AudioFormat:
    """The format that an ``audio-start`` or ``audio-chunk`` names.

    Raises:
        ProtocolError: if it names none that is read here.
    """
    width = event.data.get("width")
    if width != 2:
        raise ProtocolError(f"samples of {repr(width)[:20]} bytes: only 2 are read (16-bit)")
    return AudioFormat(
        rate=_number(event, "rate", 4_000, 192_000),
        channels=_number(event, "channels", 1, _MOST_CHANNELS),
    )


def samples(event: Event, format_: AudioFormat) -> Float32:
    """The samples of an ``audio-chunk``, float32 (frames, channels), -1 to 1; half a frame is dropped."""
    frames = len(event.payload) // (2 * format_.channels)
    values = np.frombuffer(event.payload, "<i2", frames * format_.channels).astype(np.float32)
    return (values / np.float32(32768)).reshape(frames, format_.channels)


def _number(event: Event, name: str, least: int, most: int) -> int:
    value: Any = event.data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ProtocolError(f"{name} is {repr(value)[:20]}, not {least} to {most}")
    return value
