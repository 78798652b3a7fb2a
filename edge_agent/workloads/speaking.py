"""The workload's end of the pipe to the supervisor."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from edge_agent.workloads.counting import Counting
from edge_agent.workloads.messages import (
    BeatSaid,
    EndSaid,
    EventSaid,
    Message,
    PlaceSaid,
    ReadySaid,
    encode,
)

_BEAT_S = 1.0


class Speaker:
    """Speaks to the supervisor on what was standard output; what else is printed goes to stderr."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._pipe = os.dup(1)
        os.dup2(2, 1)
        self._beaten = -_BEAT_S

    def ready(self, facts: dict[str, Any]) -> None:
        """Bundle and source are open."""
        self._say(ReadySaid(facts=facts))

    def event(self, event: str, body: dict[str, Any]) -> None:
        """Something for the sinks."""
        self._say(EventSaid(event=event, body=body))

    def place(self, place: dict[str, Any]) -> None:
        """Where another process would go on."""
        self._say(PlaceSaid(place=place))

    def alive(self) -> None:
        """The inference loop goes round; said once a second."""
        if time.monotonic() - self._beaten >= _BEAT_S:
            self.beat()

    def beat(self) -> None:
        """The same, said at once."""
        self._beaten = time.monotonic()
        self._say(BeatSaid(counters=self._counting.counters()))

    def end(self, words: str) -> None:
        """The last words."""
        self.beat()
        self._say(EndSaid(words=words))

    def _say(self, message: Message) -> None:
        left = memoryview(encode(message))
        try:
            while left:
                left = left[os.write(self._pipe, left) :]
        except BrokenPipeError:
            # The supervisor is gone; whoever starts the next one starts this anew.
            print("the supervisor is gone", file=sys.stderr)
            os._exit(1)
