"""One workload of the daemon: its life, its process, and what the process has said."""

from __future__ import annotations

import dataclasses
import selectors
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_agent.adaptation.current import current_version
from edge_agent.adaptation.reverts import reverts
from edge_agent.supervisor import life as lives
from edge_agent.supervisor.child import Child
from edge_agent.supervisor.life import ALIVE, Life, State
from edge_agent.supervisor.offers import BundleWatch
from edge_agent.tables import Limits, Mqtt
from edge_agent.workloads import messages
from edge_agent.workloads.job import Job, encode_job
from edge_agent.workloads.messages import Counters, Exit, together

Emit = Callable[[str, str, dict[str, Any]], None]
# A number by which a process knows what was learned here; another means that it must start anew.
_LEARNED: Mapping[str, Callable[[Path], int]] = {
    "keyword": current_version,
    "anomaly": lambda root: reverts(root).total,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What one workload is to do.

    Attributes:
        source: as in agent.toml.
        runtime: which interpreter.
        threads: threads of one inference.
        delegate: as in agent.toml.
        mqtt: the broker, where the source is a topic.
        device: the device's id.
        limits: how long it is waited for.
        watch: which bundles there are.
        root: the device folder, where what is learned here lies.
        alarm_bytes: what the hours around alarms may hold there.
        room: whether its thresholds follow the room, as in agent.toml.
    """

    source: str
    runtime: str
    mqtt: Mqtt | None
    device: str
    limits: Limits
    watch: BundleWatch
    root: str
    room: str = "follow"
    threads: int = 1
    delegate: str = ""
    alarm_bytes: int = 0


class Workload:
    """Keeps one workload going.

    Attributes:
        name: ``keyword`` or ``anomaly``.
        life: where it stands.
        counters: what its processes have done together.
        starts: processes that were started.
        crashes: processes that crashed or hung.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        selector: selectors.BaseSelector,
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        """Waits for a bundle.

        Args:
            name: its table in agent.toml, and the module of `edge_agent.workloads` that does it.
            settings: what it is to do.
            selector: of the daemon's loop.
            emit: takes an event: workload, event, body.
            clock: seconds that never go back.
        """
        self.name = name
        self.life = Life()
        self.counters = Counters()
        self.starts = self.crashes = 0
        self._before = Counters()
        self._settings = settings
        self._selector = selector
        self._emit = emit
        self._clock = clock
        self._child: Child | None = None
        self._facts: dict[str, Any] = {}
        self._place: dict[str, Any] = {}
        self._words = ""
        self._missing = ""

    def look(self) -> None:
        """Looks which bundles there are; where there is none to begin with, that is told once."""
        watch = self._settings.watch
        bundles = watch.look()
        if bundles != self.life.offered:
            self._feed(lives.Offered(bundles))
        missing = "" if bundles or self.life.state is not State.WAITING else watch.missing
        if missing and missing != self._missing:
            self._emit(self.name, "waiting", {"text": missing})
        self._missing = missing
        if self.life.state is State.RUNNING:
            about = self._facts.get("adaptation")
            told = about.get("current") if isinstance(about, dict) else None
            if told != _LEARNED[self.name](Path(self._settings.root)):
                self._feed(lives.Changed())

    def tick(self) -> None:
        """Time has passed; the process may have ended."""
        if self._child is not None and (code := self._child.poll()) is not None:
            self._child = None
            self._before = self.counters = dataclasses.replace(
                self.counters, rss_bytes=0, added_bytes=0
            )
            words, self._words = self._words, ""
            if code == Exit.OVER and not words:
                words = "ended without a word"
            self._feed(lives.Exited(code, words))
        self._feed(lives.Tick())

    def change(self, settings: Settings) -> None:
        """Takes new settings; the process starts anew only if it must know of them."""
        before, self._settings = self._settings, settings
        if settings.source != before.source:
            self._place = {}
        if dataclasses.replace(settings, watch=before.watch) != before:
            self._feed(lives.Changed())
        self.look()

    def stop(self) -> None:
        """Ends it for good."""
        self._feed(lives.Stop())

    def kill(self) -> None:
        """Ends its process at once, whatever becomes of it."""
        if self._child is not None:
            self._child.kill()

    @property
    def silent_for(self) -> float | None:
        """Seconds since the process last gave a sign of life; None where none is owed."""
        owed = self.life.state is State.RUNNING
        return self._clock() - self.life.heard if owed else None

    @property
    def adaptation(self) -> float:
        """How far what was learned here is from what was shipped: 0 where nothing was."""
        about = self._facts.get("adaptation")
        distance = about.get("distance") if isinstance(about, dict) else None
        return float(distance) if isinstance(distance, int | float) else 0.0

    def status(self) -> dict[str, Any]:
        """What ``status`` says of it."""
        life = self.life
        return {
            "state": life.state.value,
            "since_s": round(self._clock() - life.since, 1),
            "bundle": life.bundle and {"path": life.bundle.path, "digest": life.bundle.digest},
            "fallback": bool(life.bundle and life.offered[:1] and life.bundle != life.offered[0]),
            "error": life.error,
            "starts": self.starts,
            "pid": self._child.pid if self._child else None,
            "facts": self._facts,
            "inferences": self.counters.inferences,
            "triggers": self.counters.triggers,
            "input_s": self.counters.input_s,
            "gaps": self.counters.gaps,
            "gap_s": self.counters.gap_s,
            "drift": self.counters.drift,
            "rss_bytes": self.counters.rss_bytes,
        }

    def _feed(self, event: lives.Event) -> None:
        self.life, effects = lives.step(self.life, event, self._clock(), self._settings.limits)
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: lives.Effect) -> None:
        match effect:
            case lives.Spawn(bundle):
                self._spawn(bundle)
            case lives.Terminate():
                if self._child is not None:
                    self._child.terminate()
            case lives.Kill():
                self.kill()
            case lives.Report(event, text, bundle):
                self.crashes += event in ("crashed", "hung")
                digest = bundle.digest if bundle else None
                self._emit(self.name, event, {"digest": digest} | ({"text": text} if text else {}))

    def _spawn(self, bundle: lives.Bundle) -> None:
        self.starts += 1
        self._facts, self._words = {}, ""
        settings = self._settings
        job = Job(
            bundle=bundle.path,
            source=settings.source,
            runtime=settings.runtime,
            threads=settings.threads,
            delegate=settings.delegate,
            root=settings.root,
            room=settings.room,
            alarm_bytes=settings.alarm_bytes,
            place=self._place,
            mqtt=None if settings.mqtt is None else dataclasses.asdict(settings.mqtt),
            client=f"edge-agent-{settings.device}-{self.name}",
        )
        stdin = 0 if settings.source == "-" else subprocess.DEVNULL
        words = [f"edge_agent.workloads.{self.name}", encode_job(job)]
        try:
            self._child = Child(words, self._selector, self._line, stdin=stdin)
        except OSError as e:
            self._feed(lives.Exited(1, f"cannot be started: {e.strerror}"))

    def _line(self, line: bytes) -> None:
        try:
            message = messages.decode(line)
        except messages.MessageError as e:
            self._words = f"said {e}"
            self.kill()
            return
        if self.life.state not in ALIVE:
            return
        self.life, _ = lives.step(self.life, lives.Beat(), self._clock(), self._settings.limits)
        match message:
            case messages.ReadySaid(facts=facts):
                self._facts = facts
                self._feed(lives.Ready())
            case messages.BeatSaid(counters=counters):
                self.counters = together(self._before, counters)
            case messages.EventSaid(event=event, body=body):
                self._emit(self.name, event, body)
            case messages.PlaceSaid(place=place):
                self._place = place
            case messages.EndSaid(words=words):
                self._words = words
