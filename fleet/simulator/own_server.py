"""A fleet server of the simulation's own, in a process beside it and a folder that goes with it."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from fleet.control import releases, tenants
from fleet.repository import Repository
from fleet.store.database import Database, default_url

RELEASE = ("simulated", "1.0.0")


@dataclasses.dataclass(frozen=True)
class OwnServer:
    """A server that runs: its address, its tokens, and its process."""

    url: str
    operator_token: str
    gateway_token: str
    process: int

    def peak_mb(self) -> float:
        """The most memory that its process held so far, in MB."""
        for line in Path(f"/proc/{self.process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0


@contextlib.contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server with the release `RELEASE`, on a simulated clock, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        root = Path(folder)
        Repository(root / "repository").start()
        source = root / "simulated.bin"
        source.write_bytes(b"a simulated release")
        database = Database(default_url(root))
        now = time.time()
        with database.write() as connection:
            _, gateway = tenants.add(connection, now, "simulator", "default")
            token = tenants.add_operator(connection, now, "simulator", "simulator", "operator")
            tenant = tenants.find(connection, "default")
            releases.add_file(connection, now, tenant, "simulator", root, source, *RELEASE)
        database.close()
        command = [sys.executable, "-m", "fleet.simulator.served", folder]
        # In a session of its own: Ctrl-C is for the simulation, which then ends the server in order.
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it died: said below
                process.stdin.write("begin\n")
                process.stdin.flush()
            line = process.stdout.readline()
            url = line.split()[-1].rstrip("/") if line.strip() else ""
            if not url.startswith("http"):
                raise OSError("the server did not start: see its message above")
            yield OwnServer(url, token, gateway, process.pid)
        finally:
            process.communicate()  # the end of its input is the end of it
