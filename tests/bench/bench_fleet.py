"""Polls without an action, beside goosebit in the same run: ``make bench-fleet``.

Each server is one worker process on SQLite with 1,000 registered devices; 16 connections poll for ten
seconds each, one device after another at random, from one process on the same machine, which takes CPU
of its own. goosebit 0.2.12 comes from PyPI into an environment of its own. It is asked without device
tokens, as it comes; ours checks the gateway's token at each poll.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import sqlalchemy as sa

from fleet.control import tenants
from fleet.store.database import Database, default_url
from fleet.store.schema import Device
from tests.bench.polling_load import poll_from_process
from tests.bench.table import TOP, Figure, publish

_GOOSEBIT = "goosebit==0.2.12"
_DEVICES = 1000
_MANY = 1_000_000
_SECONDS = 10.0
_SCHEMA = """
import asyncio
from tortoise import Tortoise
from goosebit.db.config import TORTOISE_CONF

async def make():
    await Tortoise.init(config=TORTOISE_CONF)
    await Tortoise.generate_schemas()
    await Tortoise.close_connections()

asyncio.run(make())
"""


def main() -> None:
    """Measures and publishes."""
    with tempfile.TemporaryDirectory() as folder:
        ours, memory = _ours(Path(folder, "few"), _DEVICES)
        peer = _goosebit(Path(folder))
        many, many_memory = _ours(Path(folder, "many"), _MANY)
    publish(
        "fleet",
        [
            _rate("polls a second, 1,000 devices, goosebit", ours, peer),
            Figure(
                figure="99th percentile of a poll, goosebit",
                ours=ours["p99_ms"],
                peer=peer["p99_ms"],
                unit="ms",
            ),
            _rate("polls a second, 1,000,000 devices, beside 1,000", many, ours),
            Figure(
                figure="server's memory, 1,000,000 devices, beside 1,000",
                ours=many_memory,
                peer=memory,
                unit="MB",
            ),
        ],
    )


def _rate(name: str, ours: dict[str, float], peer: dict[str, float]) -> Figure:
    rate = "polls_per_second"
    return Figure(figure=name, ours=ours[rate], peer=peer[rate], unit="1/s")


def _ours(root: Path, count: int) -> tuple[dict[str, float], float]:
    root.mkdir()
    database = Database(default_url(root))
    with database.write() as connection:
        tenant, token = tenants.add(connection, time.time(), "bench", "default")
        common = {"tenant_id": tenant, "created": 0.0, "attributes": {}, "asked": False}
        for start in range(0, count, 10_000):
            rows = [
                {"name": f"dev-{n}", **common} for n in range(start, min(count, start + 10_000))
            ]
            connection.execute(sa.insert(Device), rows)
    database.close()
    command = [sys.executable, "-m", "fleet", "serve", "--root", str(root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2])
        path, authorization = "/default/controller/v1/dev-{}", f"GatewayToken {token}"
        poll_from_process(port, path, count, authorization, 1.0)
        found = poll_from_process(port, path, count, authorization, _SECONDS)
        return found, _resident_mb(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _goosebit(folder: Path) -> dict[str, float]:
    python = _environment()
    with _goosebit_serving(python, folder) as port:
        path = "/DEFAULT/controller/v1/dev-{}"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for number in range(_DEVICES):  # each registers at its first poll
                client.get(path.format(number)).raise_for_status()
        return poll_from_process(port, path, _DEVICES, "", _SECONDS)


def _environment() -> Path:
    folder = TOP / "var" / "bench" / "goosebit"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", _GOOSEBIT], check=True)
    return python


@contextlib.contextmanager
def _goosebit_serving(python: Path, folder: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "GOOSEBIT_DB_URI": f"sqlite:///{folder / 'goosebit.db'}",
        "GOOSEBIT_ARTIFACTS_DIR": str(folder / "goosebit"),
        "GOOSEBIT_PORT": str(port),
    }
    subprocess.run([python, "-c", _SCHEMA], check=True, env=environment)
    process = subprocess.Popen(
        [python, "-m", "goosebit"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("goosebit does not start")
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait()


def _resident_mb(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
