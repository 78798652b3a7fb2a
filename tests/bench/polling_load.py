"""Devices that poll as fast as they are answered: the load of `bench_fleet`, in a process of its own."""

from __future__ import annotations

import json
import random
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

_RECEIVED = 65536


def poll_from_processes(
    ports: Sequence[int], path: str, devices: int, authorization: str, seconds: float
) -> dict[str, float]:
    """Polls each server over 16 connections for so long, from a process for each of them.

    Gives how many ``polls`` there were in all, ``polls_per_second``, and the worst ``p99_ms``, the 99th
    percentile of a poll.

    Args:
        ports: of the servers on this machine.
        path: of a poll, with ``{}`` for the device's number.
        devices: how many there are; each poll is of one drawn at random.
        authorization: the header; empty for none.
        seconds: how long.
    """
    command = [sys.executable, "-m", "tests.bench.polling_load"]
    arguments = [path, str(devices), authorization, str(seconds)]
    loads = [
        subprocess.Popen([*command, str(port), *arguments], stdout=subprocess.PIPE)
        for port in ports
    ]
    found = [json.loads(load.communicate()[0]) for load in loads]
    return {
        "polls": sum(each["polls"] for each in found),
        "polls_per_second": sum(each["polls_per_second"] for each in found),
        "p99_ms": max(each["p99_ms"] for each in found),
    }


def main(port: int, path: str, devices: int, authorization: str, seconds: float) -> None:
    """Polls, and prints the figures as JSON."""
    draw = random.Random(1)
    head = f"Authorization: {authorization}\r\n" if authorization else ""

    def request() -> bytes:
        device = path.format(draw.randrange(devices))
        return f"GET {device} HTTP/1.1\r\nHost: localhost:{port}\r\n{head}\r\n".encode()

    selector = selectors.DefaultSelector()
    begun: dict[socket.socket, float] = {}
    for _ in range(16):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        begun[connection] = time.perf_counter()
        connection.sendall(request())
    taken: list[float] = []
    start = time.perf_counter()
    while (now := time.perf_counter()) < start + seconds:
        for key, _ in selector.select(1.0):
            connection = key.fileobj  # type: ignore[assignment]
            answer = connection.recv(_RECEIVED)
            while not _is_whole(answer):
                answer += connection.recv(_RECEIVED)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            now = time.perf_counter()
            taken.append(now - begun[connection])
            begun[connection] = now
            connection.sendall(request())
    elapsed = time.perf_counter() - start
    taken.sort()
    p99 = 1000 * taken[int(0.99 * len(taken))]
    rate = len(taken) / elapsed
    print(json.dumps({"polls": len(taken), "polls_per_second": rate, "p99_ms": p99}))


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    return body.endswith(b"0\r\n\r\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
