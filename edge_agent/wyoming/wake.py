"""One client's talk with a wake-word service: events in, events out; pure but for the model it is given.

    describe                                  -> info
    ping                                      -> pong
    detect {names?}, audio-start, audio-chunk -> detection {name, timestamp} for each word that is heard
    audio-stop                                -> the last words, or not-detected

``timestamp`` is the word's, on the clock of the chunks where they have one, else since the audio began, in
milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import edge_agent
from edge_agent.features.audio import Float32
from edge_agent.keyword.policy import Detection
from edge_agent.wyoming.audio import AudioFormat, audio_format, samples
from edge_agent.wyoming.protocol import Event, ProtocolError

# More than two hundred thousand years; whole milliseconds up to there are exact.
_LATEST_MS = 2**53


class Ear(Protocol):
    """Hears one stretch of sound."""

    def process(self, block: Float32) -> list[Detection]:
        """The words that the next samples, float32 (frames, channels), complete."""
        ...

    def finish(self) -> list[Detection]:
        """The words that were still open at its end."""
        ...


def info(name: str, words: Sequence[str]) -> Event:
    """What a service of the model `name` says of itself."""
    maker = {"name": "edge-agent", "url": ""}
    models: list[dict[str, Any]] = [
        {
            "name": word,
            "phrase": word,
            "languages": [],
            "attribution": maker,
            "installed": True,
            "description": f"{word} ({name})",
            "version": None,
        }
        for word in words
    ]
    program = {
        "name": "edge-agent",
        "attribution": maker,
        "installed": True,
        "description": "Keyword spotting on this device",
        "version": edge_agent.__version__,
        "models": models,
    }
    return Event(type="info", data={"wake": [program]})


class WakeTalk:
    """The state of one client's talk."""

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        open_ear: Callable[[int], Ear],
        heard: Callable[[Detection], None],
    ) -> None:
        """Nothing has been said.

        Args:
            name: the model's.
            words: those that it knows.
            open_ear: begins a stretch of sound of a rate, Hz.
            heard: is told each detection that the client asked for.
        """
        self._info = info(name, words)
        self._open_ear = open_ear
        self._heard = heard
        self._names: frozenset[str] | None = None
        self._format: AudioFormat | None = None
        self._ear: Ear | None = None
        self._begun_ms = 0.0
        self._detected = False

    def take(self, event: Event) -> list[Event]:
        """The answers to `event`; events that are not known have none.

        Raises:
            ProtocolError: if it is not as it should be.
        """
        if event.type == "describe":
            return [self._info]
        if event.type == "ping":
            text = event.data.get("text")
            return [Event(type="pong", data={"text": text if isinstance(text, str) else None})]
        if event.type == "detect":
            names = event.data.get("names")
            self._names = frozenset(map(str, names)) if isinstance(names, list) and names else None
            return []
        if event.type == "audio-start":
            self._begin(event)
            return []
        if event.type == "audio-chunk":
            return self._hear(event)
        return self._stop() if event.type == "audio-stop" else []

    def _begin(self, event: Event) -> None:
        self._format = audio_format(event)
        self._ear = self._open_ear(self._format.rate)
        self._begun_ms = _timestamp_ms(event)
        self._detected = False

    def _hear(self, event: Event) -> list[Event]:
        if self._ear is None or audio_format(event) != self._format:
            self._begin(event)
        assert self._ear is not None
        assert self._format is not None
        return self._told(self._ear.process(samples(event, self._format)))

    def _stop(self) -> list[Event]:
        ear, self._ear = self._ear, None
        answers = self._told(ear.finish()) if ear is not None else []
        return answers if self._detected else [Event(type="not-detected")]

    def _told(self, detections: Sequence[Detection]) -> list[Event]:
        wanted = [d for d in detections if self._names is None or d.label in self._names]
        self._detected = self._detected or bool(wanted)
        for detection in wanted:
            self._heard(detection)
        return [
            Event(
                type="detection",
                data={"name": d.label, "timestamp": round(self._begun_ms + 1000 * d.time_s)},
            )
            for d in wanted
        ]


def _timestamp_ms(event: Event) -> float:
    stamp = event.data.get("timestamp")
    if not isinstance(stamp, int | float):
        return 0.0
    if abs(stamp) > _LATEST_MS:
        raise ProtocolError(f"timestamp is {str(stamp)[:20]}, beyond {_LATEST_MS}")
    return float(stamp)
