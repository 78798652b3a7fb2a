"""Polls without an action, beside goosebit in the same run: ``make bench-fleet``.

Each server is one worker process on SQLite with 1,000 registered devices; 16 connections poll for ten
seconds each, one device after another at random, from one process on the same machine, which takes CPU
of its own. goosebit 0.2.12 comes from PyPI into an environment of its own. It is asked without device
tokens, as it comes; ours checks the gateway's token at each poll.

Then with a million devices; and, where a PostgreSQL lets us in, with two server processes on one database
beside one, each polled by a process of its own: what they give of CPU time for a poll.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from fleet.control import tenants
from fleet.store.database import Database, default_url
from fleet.store.schema import Device, LastPoll
from tests.bench.polling_load import poll_from_processes
from tests.bench.table import TOP, Figure, publish
from tests.fixtures.postgresql import new_database

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
        few = _ours(Path(folder, "few"), _DEVICES)
        peer = _goosebit(Path(folder))
        many = _ours(Path(folder, "many"), _MANY)
        shared = _on_postgresql(Path(folder, "shared"))
    publish(
        "fleet",
        [
            _rate("polls a second, 1,000 devices, goosebit", few, peer),
            Figure(
                figure="99th percentile of a poll, goosebit",
                ours=few["p99_ms"],
                peer=peer["p99_ms"],
                unit="ms",
            ),
            Figure(
                figure="transactions that wrote, beside polls",
                ours=few["transactions"],
                peer=few["polls"],
                unit="",
            ),
            _rate("polls a second, 1,000,000 devices, beside 1,000", many, few),
            Figure(
                figure="CPU of a poll, 1,000,000 devices, beside 1,000",
                ours=many["cpu_us"],
                peer=few["cpu_us"],
                unit="us",
            ),
            Figure(
                figure="server's memory, 1,000,000 devices, beside 1,000",
                ours=many["memory_mb"],
                peer=few["memory_mb"],
                unit="MB",
            ),
            *shared,
        ],
    )


def _rate(name: str, ours: dict[str, float], peer: dict[str, float]) -> Figure:
    rate = "polls_per_second"
    return Figure(figure=name, ours=ours[rate], peer=peer[rate], unit="1/s")


@dataclasses.dataclass(frozen=True)
class _Tokens:
    gateway: str
    viewer: str


def _register(database: Database, count: int) -> _Tokens:
    with database.write() as connection:
        tenant, gateway = tenants.add(connection, time.time(), "bench", "default")
        viewer = tenants.add_operator(connection, time.time(), "bench", "bench", "viewer")
        common = {"tenant_id": tenant, "created": 0.0, "attributes": {}, "asked": False}
        for start in range(0, count, 10_000):
            rows = [
                {"name": f"dev-{n}", **common} for n in range(start, min(count, start + 10_000))
            ]
            connection.execute(sa.insert(Device), rows)
        # They polled before, as those of a fleet at work did.
        polled = sa.select(Device.id, sa.literal(0.0)).order_by(Device.id)
        connection.execute(sa.insert(LastPoll).from_select(["device_id", "at"], polled))
    database.close()
    return _Tokens(gateway, viewer)


class _Server:
    """A server process of ours."""

    def __init__(self, root: Path, url: sa.URL) -> None:
        command = [sys.executable, "-m", "fleet", "serve", "--root", str(root), "--port", "0"]
        command += ["--database", url.render_as_string(hide_password=False)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.port = int(line.strip().rstrip("/").rpartition(":")[2])

    def cpu_s(self) -> float:
        """CPU time that it took so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """The most memory that it held."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def transactions(self, viewer: str) -> float:
        """How many transactions it wrote so far."""
        headers = {"Authorization": f"Bearer {viewer}"}
        url = f"http://127.0.0.1:{self.port}/metrics"
        text = httpx.get(url, headers=headers).raise_for_status().text
        return next(
            float(line.split()[1])
            for line in text.splitlines()
            if line.startswith("fleet_transactions_total")
        )

    def end(self) -> None:
        """Ends it in order."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()


@contextlib.contextmanager
def _serving(root: Path, url: sa.URL, processes: int) -> Iterator[list[_Server]]:
    servers: list[_Server] = []
    try:
        for _ in range(processes):
            servers.append(_Server(root, url))
        yield servers
    finally:
        for server in servers:
            server.end()


def _poll(servers: Sequence[_Server], count: int, tokens: _Tokens) -> dict[str, float]:
    ports = [server.port for server in servers]
    arguments = ("/default/controller/v1/dev-{}", count, f"GatewayToken {tokens.gateway}")
    poll_from_processes(ports, *arguments, 1.0)
    written = sum(server.transactions(tokens.viewer) for server in servers)
    used = sum(server.cpu_s() for server in servers)
    found = poll_from_processes(ports, *arguments, _SECONDS)
    used = sum(server.cpu_s() for server in servers) - used
    found["cpu_us"] = 1e6 * used / found["polls"]
    found["transactions"] = sum(s.transactions(tokens.viewer) for s in servers) - written
    found["memory_mb"] = max(server.peak_mb() for server in servers)
    return found


def _ours(root: Path, count: int) -> dict[str, float]:
    root.mkdir()
    url = default_url(root)
    tokens = _register(Database(url), count)
    with _serving(root, url, 1) as servers:
        return _poll(servers, count, tokens)


def _on_postgresql(root: Path) -> list[Figure]:
    root.mkdir()
    try:
        with new_database() as url:
            tokens = _register(Database(url), _DEVICES)
            with _serving(root, url, 1) as servers:
                one = _poll(servers, _DEVICES, tokens)
            with _serving(root, url, 2) as servers:
                two = _poll(servers, _DEVICES, tokens)
    except pytest.skip.Exception as e:
        print(e, file=sys.stderr)
        return []
    cpu = "server's CPU of a poll, two on one PostgreSQL, beside one"
    return [
        Figure(figure=cpu, ours=two["cpu_us"], peer=one["cpu_us"], unit="us"),
        _rate("polls a second, two on one PostgreSQL, beside one", two, one),
    ]


def _goosebit(folder: Path) -> dict[str, float]:
    python = _environment()
    with _goosebit_serving(python, folder) as port:
        path = "/DEFAULT/controller/v1/dev-{}"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for number in range(_DEVICES):  # each registers at its first poll
                client.get(path.format(number)).raise_for_status()
        return poll_from_processes([port], path, _DEVICES, "", _SECONDS)


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


if __name__ == "__main__":
    main()
