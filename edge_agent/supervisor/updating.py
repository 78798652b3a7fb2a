"""The process for updates: ``update-once`` in a process of its own, each time one is due.

It lives only while it has work. That it hangs, crashes or waits for a slow network is its own affair: it has
the time that an update may take, and is killed after that; what it left is ended by the next one.
"""

from __future__ import annotations

import json
import random
import selectors
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agent.supervisor.child import Child
from edge_agent.tables import Update

Emit = Callable[[str, str, dict[str, Any]], None]
_FIRST_S = 30.0
_LONGEST_POLL_S = 86_400.0
# Beyond what fetching may take: two self-tests of two minutes each, and some.
_BEYOND_S = 300.0


class Updating:
    """Looks for updates every `settings.poll` seconds, or as often as the server says, a tenth more or less
    by lot.

    Attributes:
        last: what the last process said, or why it said nothing; None before the first.
    """

    def __init__(
        self,
        config: Path,
        settings: Update,
        selector: selectors.BaseSelector,
        emit: Emit,
        watches: Callable[[], bool],
        begins: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """Waits for the first one, which comes soon.

        Args:
            config: agent.toml.
            settings: its table.
            selector: of the daemon's loop.
            emit: takes an event: ``update``, event, body.
            watches: whether the daemon watches over bundles on probation.
            begins: is called before each process begins.
            clock: seconds that never go back.
        """
        self.last: dict[str, Any] | None = None
        self._config = config
        self._settings = settings
        self._selector = selector
        self._emit = emit
        self._watches = watches
        self._begins = begins
        self._clock = clock
        self._child: Child | None = None
        self._begun = 0.0
        self._due = clock() + random.uniform(0.0, min(_FIRST_S, settings.poll))
        self._stopped = False
        self._poll_s: float | None = None

    def change(self, settings: Update) -> None:
        """Takes new settings."""
        self._settings = settings
        self._due = min(self._due, self._clock() + settings.poll)

    def soon(self) -> None:
        """Lets the next process begin at once: there is something to report."""
        self._due = self._clock()

    def tick(self) -> None:
        """Time has passed; the process may have ended, or be due."""
        now = self._clock()
        if self._child is not None:
            code = self._child.poll()
            if code is not None:
                self._child = None
                self._ended(code)
            elif now - self._begun > self._settings.time_limit + _BEYOND_S:
                self._child.kill()
        elif not self._stopped and now >= self._due:
            self._start(now)

    def stop(self) -> None:
        """Ends it; the next daemon's first update goes on where this one is."""
        self._stopped = True
        if self._child is not None:
            self._child.terminate()

    def kill(self) -> None:
        """Ends its process at once."""
        if self._child is not None:
            self._child.kill()

    @property
    def at_work(self) -> bool:
        """Whether its process lives."""
        return self._child is not None

    def status(self) -> dict[str, Any]:
        """What ``status`` says of it."""
        return {
            "at_work": self.at_work,
            "next_s": None if self.at_work else round(max(0.0, self._due - self._clock()), 1),
            "last": self.last,
        }

    def _start(self, now: float) -> None:
        self._begun = now
        self._due = now + self._wait()
        self._begins()
        words = ["edge_agent", "update-once", "--config", str(self._config), "--json"]
        if self._watches():
            words.append("--watched")
        try:
            self._child = Child(words, self._selector, self._line)
        except OSError as e:
            self.last = {"last_error": f"cannot be started: {e.strerror}"}
            self._emit("update", "update_failed", self.last)

    def _wait(self) -> float:
        """Seconds from one process to the next: as the server said last, also while it is away."""
        poll: float = self._poll_s or self._settings.poll
        return poll * random.uniform(0.9, 1.1)

    def _line(self, line: bytes) -> None:
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(told, dict):
            self._told = told

    _told: dict[str, Any] | None = None

    def _ended(self, code: int) -> None:
        told, self._told = self._told, None
        if self._stopped:
            return
        before = self.last
        poll_s = (told or {}).get("poll_s")
        if isinstance(poll_s, int | float) and 1 <= poll_s <= _LONGEST_POLL_S:
            self._poll_s = float(poll_s)
            self._due = min(self._due, self._clock() + self._wait())
        self.last = told or {"last_error": f"the updater ended with {code} and said nothing"}
        if self.last.get("last_error") is not None:
            # The same trouble each time, such as a network that is away, is told once.
            if before is None or before.get("last_error") != self.last["last_error"]:
                self._emit("update", "update_failed", self.last)
        elif told and told.get("from") != told.get("to"):
            self._emit("update", "updated", told)
