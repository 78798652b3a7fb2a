"""What a workload's process is told when it starts, and what all of them do around their work.

python -m edge_agent.workloads.keyword '{"bundle": ..., "source": ..., "runtime": ..., "place": {...}}'
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

from edge_agent.sources.patient import Patience, SourceError
from edge_agent.workloads.counting import Counting
from edge_agent.workloads.messages import Exit
from edge_agent.workloads.speaking import Speaker


class RefusedError(Exception):
    """The bundle cannot do this workload's work here; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        bundle: path of the bundle.
        source: where the input comes from, as in agent.toml.
        runtime: which interpreter.
        threads: threads of one inference.
        delegate: a shared library that takes over what it can of the model; empty for none.
        root: the device folder, where what was learned lies; empty for a workload that learns nothing.
        alarm_bytes: what the hours around alarms may hold in the device folder; 0 for none of them.
        room: ``follow`` where thresholds may follow the room, else ``shipped``.
        place: what the process before this one said of its place in the source; empty for the first.
        mqtt: the table of the broker, where the source is a topic.
        client: what the broker knows this process by.
    """

    bundle: str
    source: str
    runtime: str = "auto"
    threads: int = 1
    delegate: str = ""
    root: str = ""
    room: str = "follow"
    alarm_bytes: int = 0
    place: dict[str, Any] = dataclasses.field(default_factory=dict)
    mqtt: dict[str, Any] | None = None
    client: str = "edge-agent"


def encode_job(job: Job) -> str:
    """The job as an argument."""
    return json.dumps(dataclasses.asdict(job))


def work(
    serve: Callable[[Job, Speaker, Counting, Patience], None], arguments: list[str]
) -> NoReturn:
    """Does the job in ``arguments[1]`` by `serve`, and exits with what `Exit` says."""
    job = Job(**json.loads(arguments[1]))
    counting = Counting()
    speaker = Speaker(counting)
    patience = Patience()
    patience.on_wait(lambda _: speaker.alive())

    def stop(_: int, __: FrameType | None) -> None:
        patience.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor, which says when
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    code, words = Exit.OVER, f"{job.source}: is over"
    try:
        serve(job, speaker, counting, patience)
    except RefusedError as e:
        code, words = Exit.REFUSED, str(e)
    except SourceError as e:
        code, words = Exit.SOURCE, str(e)
    speaker.end(words)
    sys.stderr.flush()
    # Interpreters of native code have been seen to hang on the way out; nothing is left to be done.
    os._exit(code)
