"""A microphone of this device, by PortAudio (`sounddevice`, an optional extra), e.g. ALSA's ``hw:1,0``."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np

from edge_agent.features.audio import Float32
from edge_agent.sources.patient import Patience, SourceError

_WAIT_S = 0.25
# One that gives nothing for so long was unplugged: a driver does not always say so.
_DEAD_S = 3.0
_MOST_WAITING_S = 10.0


class Microphone:
    """The samples of the microphone `device`; opened at once.

    Samples that are lost, by the driver or because nobody takes them, are told to `patience`.
    """

    def __init__(self, device: str, rate: int, block_s: float, patience: Patience) -> None:
        """Opens it.

        Args:
            device: its name, a part of it, or its number; empty for the system's first choice.
            rate: frames a second, Hz.
            block_s: seconds of sound to take at a time.
            patience: how to wait.

        Raises:
            SourceError: if `sounddevice` is not installed, or the microphone cannot be opened.
        """
        try:
            import sounddevice
        except (ImportError, OSError) as e:  # OSError: PortAudio itself is missing
            raise SourceError(
                f"microphone: cannot be read ({e}): pip install 'edge-agent[microphone]', and "
                "PortAudio (Debian: apt-get install libportaudio2)"
            ) from e
        self._patience = patience
        self._name = device or "default"
        self._ended = False
        most = max(2, round(_MOST_WAITING_S / block_s))
        self._blocks: queue.Queue[Float32] = queue.Queue(most)
        try:
            self._stream: Any = sounddevice.InputStream(
                samplerate=rate,
                blocksize=round(rate * block_s),
                device=int(device) if device.isdigit() else device or None,
                channels=1,
                dtype="int16",
                callback=self._take,
                finished_callback=self._end,
            )
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError, OSError) as e:
            raise SourceError(
                f"microphone {self._name}: cannot be opened ({e}): is it plugged in, and free? "
                "`python -m sounddevice` lists them"
            ) from e

    def blocks(self) -> Iterator[Float32]:
        """The samples in order, float32 (frames, 1), until told to stop.

        Raises:
            SourceError: if the microphone is gone.
        """
        silent_s = 0.0
        try:
            while not self._patience.stopped:
                try:
                    block = self._blocks.get(timeout=_WAIT_S)
                except queue.Empty:
                    silent_s += _WAIT_S
                    if self._ended or silent_s >= _DEAD_S:
                        raise SourceError(
                            f"microphone {self._name}: gives no more sound: is it unplugged?"
                        ) from None
                    self._patience.waited()
                    continue
                silent_s = 0.0
                self._patience.fed()
                yield block
        finally:
            self._stream.abort(ignore_errors=True)
            self._stream.close(ignore_errors=True)

    def _take(self, samples: Any, _frames: int, _time: Any, status: Any) -> None:
        """Called in PortAudio's thread, with samples that are its own."""
        if status:
            self._patience.lost()
        try:
            self._blocks.put_nowait(samples.astype(np.float32) / np.float32(32768))
        except queue.Full:
            self._patience.lost()

    def _end(self) -> None:
        self._ended = True
