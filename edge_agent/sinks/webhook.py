"""Events to a web server: a POST of JSON for each, in order, from an outbox that outlives a kill.

A thread posts one at a time. What the server refuses for good (a 4xx other than 408 and 429) is dropped and
counted; everything else is tried again after a growing wait, for as long as it takes.
"""

from __future__ import annotations

import http.client
import json
import queue
import random
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from edge_agent.mqtt_connection import secret
from edge_agent.sinks.outbox import Outbox, Waiting
from edge_agent.tables import Webhook
from edge_agent.update.waiting import back_off

_TIMEOUT_S = 10.0
_LONGEST_WAIT_S = 60.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A POST that is redirected would arrive as a GET, without what it was about."""

    def redirect_request(self, *_: Any) -> None:
        return None


class WebhookSink:
    """Delivers to the address of `settings`.

    Attributes:
        outbox: what waits.
        refused: events that the server did not want, and that were dropped therefore.
        connected: whether the last event went through.

    Raises:
        OSError: if the token cannot be read.
    """

    def __init__(self, settings: Webhook, outbox: Outbox) -> None:
        """Begins to deliver."""
        self.outbox = outbox
        self.refused = 0
        self.connected = False
        self._url = settings.url
        self._headers = {"Content-Type": "application/json", "User-Agent": "edge-agent"}
        token = secret(settings.token_file)
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._under_way: int | None = None
        self._given: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._taken: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name="webhook", daemon=True)
        self._thread.start()

    def emit(self, event: dict[str, Any]) -> None:
        """Takes an event."""
        self.outbox.put("", json.dumps(event).encode())

    def tell(self, status: dict[str, Any]) -> None:
        """Nothing: a web server is told events alone."""

    def tick(self) -> None:
        """Takes what the thread has done, and gives it what is next."""
        while not self._taken.empty():
            good = self._taken.get()
            self.connected = True
            self.refused += not good
            if self._under_way is not None:
                self.outbox.done(self._under_way)
                self._under_way = None
        if self._under_way is None and self.outbox.waiting:
            for waiting in self.outbox.after(0, 1):
                self._under_way = waiting.number
                self._given.put(waiting)

    def close(self, seconds: float) -> None:
        """Delivers what it can within `seconds`, and lets go."""
        until = time.monotonic() + seconds
        self.tick()
        while self.connected and self.outbox.waiting and time.monotonic() < until:
            time.sleep(0.01)
            self.tick()
        self._ending.set()
        self._given.put(None)
        self._thread.join(max(0.0, until - time.monotonic()))
        self.tick()
        self.outbox.close()

    def _deliver(self) -> None:
        while (waiting := self._given.get()) is not None:
            attempt = 0
            while (good := self._post(waiting.payload)) is None:
                self.connected = False
                wait = back_off(attempt, _LONGEST_WAIT_S, random.random())
                attempt += 1
                if self._ending.wait(wait):
                    return
            self._taken.put(good)

    def _post(self, payload: bytes) -> bool | None:
        """Whether the server took it; None if it is to be tried again."""
        request = urllib.request.Request(self._url, payload, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S):
                return True
        except urllib.error.HTTPError as e:
            e.close()
            return False if 400 <= e.code < 500 and e.code not in (408, 429) else None
        except (OSError, http.client.HTTPException):
            return None
