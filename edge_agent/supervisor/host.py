"""The daemon's loop: workloads, updates, signals, the control socket and systemd, in one thread that never
waits for any of them.

READY is told once each workload has begun to run or has failed to. The watchdog is fed by the signs of life
of the inference loops: while a process runs that owes one, its beats alone feed it. Where none runs (no
bundle yet, a wait after a crash), the loop here is what works, and feeds it itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import selectors
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from edge_agent import __version__
from edge_agent.config import ConfigError, device_root, read_runnable
from edge_agent.sinks.delivery import Delivery
from edge_agent.sinks.json_lines import JsonLines
from edge_agent.sinks.metrics import Figures, WorkloadFigures
from edge_agent.supervisor.control import ControlServer
from edge_agent.supervisor.life import State
from edge_agent.supervisor.notify import Notifier
from edge_agent.supervisor.offers import BundleWatch
from edge_agent.supervisor.probation import Probation
from edge_agent.supervisor.tally import Tally
from edge_agent.supervisor.updating import Updating
from edge_agent.supervisor.workload import Settings, Workload
from edge_agent.tables import MQTT_SCHEME, Anomaly, Config, Keyword
from edge_agent.update.errors import BusyError
from edge_agent.update.slots import DeviceFolder

_LOOK_S = 1.0
_FLUSH_S = 2.0
_BEAT_FRESH_S = 3.0
_SETTLED = frozenset({State.RUNNING, State.RESTING, State.WAITING, State.ENDED, State.GONE})


class Daemon:
    """The daemon of the device that the file `path` describes.

    Raises:
        ConfigError: if it describes none.
        UpdateError: if the device folder cannot be made, or another daemon has it.
        ControlError: if the control socket cannot be had.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._config = read_runnable(path)
        self._folder = DeviceFolder.made(device_root(self._config))
        self._selector = selectors.DefaultSelector()
        self._workloads: dict[str, Workload] = {}
        self._updating: Updating | None = None
        self._probation = Probation(self._folder, self.emit, clock)
        self._tally = Tally(self._folder, clock)
        self._notifier = Notifier()
        self._lines = JsonLines()
        self._delivery = Delivery(self._lines, self._folder.root, self._figures)
        self._begun = clock()
        self._looked = -_LOOK_S
        self._ready = self._draining = False
        self._drain_begun = 0.0
        self._signals: list[int] = []

    def run(self) -> int:
        """Runs until it is told to end, or until all sources are over; gives the exit code."""
        with _owned(self._folder.root), self._signals_taken():
            server = ControlServer(self._folder.root, self._selector, self.status)
            try:
                self._delivery.open(self._config, _FLUSH_S)
                self.emit("daemon", "started", {"version": __version__})
                self._probation.begin()
                self._apply(self._config)
                while not self._over():
                    for key, _ in self._selector.select(self._patience()):
                        key.data()
                    self._turn(server)
            finally:
                for workload in self._workloads.values():
                    workload.kill()
                server.close()
            self._probation.leave()
            self.emit("daemon", "stopped", {})
            self._delivery.close(_FLUSH_S)
            self._lines.close(_FLUSH_S)
        return 0

    def emit(self, source: str, event: str, body: dict[str, Any]) -> None:
        """Gives an event to the sinks."""
        head = {
            "id": uuid.uuid4().hex,
            "time": round(time.time(), 3),
            "device": self._delivery.device,
            "source": source,
            "event": event,
        }
        table = {"keyword": self._config.keyword, "anomaly": self._config.anomaly}.get(source)
        self._delivery.emit({**head, **body}, table.sinks if table is not None else None)

    def status(self) -> dict[str, Any]:
        """What the control socket says."""
        return {
            "pid": os.getpid(),
            "version": __version__,
            "uptime_s": round(self._clock() - self._begun, 1),
            "draining": self._draining,
            "workloads": {name: each.status() for name, each in self._workloads.items()},
            "updates": self._updating and self._updating.status(),
            "probation": self._probation_s(),
            "sinks": {n: dataclasses.asdict(f) for n, f in self._delivery.figures().items()},
            "metrics_port": self._delivery.metrics_port,
        }

    def _figures(self) -> Figures:
        """What metrics are made of; called in the thread that serves them."""
        memory = self._folder.memory()
        return Figures(
            workloads={
                name: WorkloadFigures(
                    running=each.life.state is State.RUNNING,
                    starts=each.starts,
                    digest=each.life.bundle.digest if each.life.bundle else "",
                    counters=each.counters,
                    adaptation=each.adaptation,
                )
                for name, each in list(self._workloads.items())
            },
            sinks=self._delivery.figures(),
            update_state=memory.phase.value,
            version=memory.current.version if memory.current else "",
            update_failed=memory.last_error is not None,
        )

    def _summary(self) -> dict[str, Any]:
        """What a broker is told, and keeps, of the device: nothing that changes by itself."""
        return {
            "version": __version__,
            "workloads": {
                name: {
                    "state": each.life.state.value,
                    "digest": each.life.bundle.digest if each.life.bundle else None,
                    "error": each.life.error,
                }
                for name, each in self._workloads.items()
            },
        }

    def _turn(self, server: ControlServer) -> None:
        now = self._clock()
        while self._signals:
            if self._signals.pop(0) == signal.SIGHUP:
                self._reload()
            else:
                self._drain(now)
        for workload in self._workloads.values():
            workload.tick()
        if now - self._looked >= _LOOK_S and not self._draining:
            self._looked = now
            for workload in self._workloads.values():
                workload.look()
            self._tally.look(self._released())
            decided = self._probation.look(self._released(), self._config.update.probation)
            if decided and self._config.fleet is not None and self._updating is not None:
                self._updating.soon()
        if self._updating is not None:
            self._updating.tick()
        self._delivery.tick(self._summary())
        server.drop_late(now)
        if not self._draining:
            self._bury()
        elif self._updating is not None and now - self._drain_begun > self._config.limits.drain:
            self._updating.kill()
        self._tell_systemd(now)

    def _released(self) -> Workload | None:
        """The workload that runs what is released, if one does."""
        for name, table in (("keyword", self._config.keyword), ("anomaly", self._config.anomaly)):
            if table is not None and not table.bundle:
                return self._workloads.get(name)
        return None

    def _hand_over(self) -> None:
        """An updater begins: it may tell the fleet server what was done."""
        if self._config.fleet is not None:
            self._tally.hand_over()

    def _probation_s(self) -> float | None:
        """Seconds that a new bundle is watched; None where none is."""
        seconds = self._config.update.probation
        return seconds if seconds and self._released() is not None else None

    def _bury(self) -> None:
        """Forgets the workloads that the settings no longer have, once they are gone."""
        gone = [n for n, each in self._workloads.items() if each.life.state is State.GONE]
        for name in gone:
            del self._workloads[name]
        if gone:
            self._apply(self._config)  # one may have come back into the settings meanwhile

    def _tell_systemd(self, now: float) -> None:
        lives = [workload.life.state for workload in self._workloads.values()]
        if not self._ready and all(state in _SETTLED for state in lives):
            self._ready = True
            self._notifier.ready()
        text = "; ".join(f"{name}: {s}" for name, s in zip(self._workloads, lives, strict=True))
        self._notifier.status(text)
        silences = [workload.silent_for for workload in self._workloads.values()]
        owed = [silence for silence in silences if silence is not None]
        if not owed or min(owed) <= _BEAT_FRESH_S:
            self._notifier.feed(now)

    def _patience(self) -> float:
        """Seconds to wait for something to happen."""
        moving = any(
            workload.life.state in (State.STARTING, State.STOPPING)
            for workload in self._workloads.values()
        )
        return 0.05 if moving or self._draining else min(0.5, self._config.limits.first_wait)

    def _over(self) -> bool:
        if self._updating is not None and self._draining and self._updating.at_work:
            return False
        done = (State.GONE,) if self._draining else (State.ENDED,)
        return all(each.life.state in done for each in self._workloads.values())

    def _apply(self, config: Config) -> None:
        """Makes the workloads those of `config`."""
        self._config = config
        wanted = {
            name: self._settings(config, table)
            for name, table in (("keyword", config.keyword), ("anomaly", config.anomaly))
            if table is not None
        }
        for name, workload in self._workloads.items():
            if name in wanted:
                workload.change(wanted[name])
            else:
                workload.stop()
        for name in [name for name in wanted if name not in self._workloads]:  # in their order
            workload = Workload(name, wanted[name], self._selector, self.emit, self._clock)
            self._workloads[name] = workload
            workload.look()
        if config.repository is None and config.fleet is None:
            if self._updating is not None:
                self._updating.stop()
                self._updating = None
        elif self._updating is None:
            self._updating = Updating(
                self._path, config.update, self._selector, self.emit,
                lambda: self._probation_s() is not None, self._hand_over, self._clock,
            )  # fmt: skip
        else:
            self._updating.change(config.update)

    def _settings(self, config: Config, table: Keyword | Anomaly) -> Settings:
        return Settings(
            source=table.source,
            runtime=table.runtime if isinstance(table, Keyword) else "auto",
            mqtt=config.mqtt if table.source.startswith(MQTT_SCHEME) else None,
            device=self._delivery.device,
            limits=config.limits,
            watch=BundleWatch(self._folder, table.bundle),
            root=str(self._folder.root),
            room=config.adaptation.room,
            threads=table.threads if isinstance(table, Keyword) else 1,
            delegate=table.delegate if isinstance(table, Keyword) else "",
            alarm_bytes=table.alarm_bytes if isinstance(table, Anomaly) else 0,
        )

    def _reload(self) -> None:
        if self._draining:
            return
        self._notifier.reloading()
        try:
            config = read_runnable(self._path)
            if device_root(config).absolute() != self._folder.root:
                raise ConfigError(f"{self._path}: device.root: changes only with a restart")
            self._delivery.open(config, _FLUSH_S)
            self._apply(config)
        except ConfigError as e:
            with contextlib.suppress(ConfigError):
                self._delivery.open(self._config, _FLUSH_S)
            self.emit("daemon", "reload_refused", {"text": str(e)})
        else:
            self.emit("daemon", "reloaded", {})
        self._notifier.ready()

    def _drain(self, now: float) -> None:
        if self._draining:
            return
        self._draining, self._drain_begun = True, now
        self._notifier.stopping()
        for workload in self._workloads.values():
            workload.stop()
        if self._updating is not None:
            self._updating.stop()

    @contextlib.contextmanager
    def _signals_taken(self) -> Iterator[None]:
        """Signals wake the loop and are done there."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

        def note(number: int, _: FrameType | None) -> None:
            if number != signal.SIGCHLD:
                self._signals.append(number)

        former = {number: signal.signal(number, note) for number in wanted}
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, lambda: _emptied(reader))
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in former.items():
                signal.signal(number, handler)
            self._selector.unregister(reader)
            reader.close()
            writer.close()


@contextlib.contextmanager
def _owned(root: Path) -> Iterator[None]:
    """Keeps other daemons out of the device folder; the system lets go if the process dies."""
    descriptor = os.open(root / ".daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{root}: another daemon has this device folder: stop it first"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _emptied(reader: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while reader.recv(4096):
            pass
