"""Starts executors from a process that has imported what they need: ``python -m components.warm MODULE...``.

TensorFlow takes seconds of processor time to import, which a run of ten short steps would spend ten
times. Here it is imported once, and each step is a fork, made before any of it has computed anything or
started a thread.

Standard input is a socket of whole messages from the runner. Each is a JSON object with the
``specification`` of `components.child` and the ``environment`` that differs, and comes with four or more
descriptors: the step's standard input, output and error, a pipe that is told ``process ID`` and later
``ended CODE``, a line each, and others that the step is to hold. When the runner goes away, so does this
process.
"""

from __future__ import annotations

import array
import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
from typing import Any

from components import child

_MOST_BYTES = 1 << 20
_MOST_DESCRIPTORS = 64


def main() -> int:
    """Forks steps until the runner goes; in a fork, runs its step."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    with socket.socket(fileno=os.dup(0)) as orders:
        specification = _serve(orders)
    return 0 if specification is None else child.run(specification)


def _serve(orders: socket.socket) -> dict[str, Any] | None:
    """The specification of a step, in each fork; None in this process, once the runner is gone."""
    told: dict[int, int] = {}  # the pipe of each step that runs
    ended, ends = os.pipe()
    for end in (ended, ends):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(ends, warn_on_full_buffer=False)
    before = signal.signal(signal.SIGCHLD, lambda number, frame: None)
    selector = selectors.DefaultSelector()
    selector.register(orders, selectors.EVENT_READ)
    selector.register(ended, selectors.EVENT_READ)
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if ended in ready:
            os.read(ended, 4096)
            _tell_ends(told)
        if orders.fileno() not in ready:
            continue
        message, descriptors = _receive(orders)
        if not message:
            return None
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, before)
            selector.close()
            for descriptor in (ended, ends, *told.values()):
                os.close(descriptor)
            return _become(json.loads(message), descriptors)
        told[pid] = descriptors.pop(3)
        for descriptor in descriptors:
            os.close(descriptor)


def _receive(orders: socket.socket) -> tuple[bytes, list[int]]:
    """One message and its descriptors, which no program that a step starts inherits."""
    descriptors = array.array("i")
    message, ancillary, _, _ = orders.recvmsg(
        _MOST_BYTES,
        socket.CMSG_LEN(_MOST_DESCRIPTORS * descriptors.itemsize),
        socket.MSG_CMSG_CLOEXEC,
    )
    for _, _, data in ancillary:
        descriptors.frombytes(data)
    return message, descriptors.tolist()


def _become(order: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
    """Makes this fork the process of a step, as one begun anew would be."""
    os.setsid()
    with os.fdopen(descriptors.pop(3), "w") as told:
        print("process", os.getpid(), file=told)
    for place, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.update(order["environment"])
    tempfile.tempdir = None
    specification: dict[str, Any] = order["specification"]
    return specification


def _tell_ends(told: dict[int, int]) -> None:
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with contextlib.suppress(BrokenPipeError), os.fdopen(told.pop(pid), "w") as pipe:
            print("ended", os.waitstatus_to_exitcode(status), file=pipe)


if __name__ == "__main__":
    sys.exit(main())
