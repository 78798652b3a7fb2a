"""SWUpdate itself, as Debian builds it, goes through a rollout: poll, download, install, restart, report."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.control import devices, releases
from tests.fixtures.small_fleet import CANARY
from tests.fixtures.swu_image import write_image

_PATIENCE_S = 120


@contextlib.contextmanager
def swupdate(certificate: Path, folder: Path, address: str, *more: str) -> Iterator[None]:
    """SWUpdate as a daemon that asks the server at `address`, meanwhile."""
    program = shutil.which("swupdate")
    assert program is not None
    url = address.removeprefix("http://")
    suricatta = " ".join(("-t default -u", f"http://{url}", "-i cam", *more))
    command = [program, "-k", str(certificate), "-H", "test:1.0", "-v", "-u", suricatta]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(folder)},
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def wait_for(holds: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < end, (folder / "log").read_text()[-3000:]
        time.sleep(0.1)


@pytest.mark.skipif(
    shutil.which("swupdate") is None, reason="no swupdate: on Debian, apt-get install swupdate"
)
def test_swupdate_goes_through_a_rollout(server, tmp_path):
    folder = tmp_path / "swupdate"
    folder.mkdir()
    payload = os.urandom(1_000_000)
    image, certificate = write_image(folder, payload, folder / "installed")
    with server.database.write() as connection:
        given = (connection, 1.0, server.tenant, "test", server.root, image)
        release = releases.add_file(*given, "os", "1.0.0")
    token = server.admin.post("/api/v1/default/devices", json={"id": "cam"}).json()["token"]
    rollout = server.start(release, dataclasses.replace(CANARY, percent=100))
    server.pass_time()

    def said() -> list[str]:
        with server.database.read() as connection:
            device = devices.find(connection, server.tenant.id, "cam")
            (action,) = devices.history(connection, device.id)
        return [text for report in action["reports"] for text in report["details"]]

    with swupdate(certificate, folder, server.address, "-k", token):
        wait_for(lambda: "All Chunks Installed." in said(), folder)
    assert (folder / "installed").read_bytes() == payload
    assert server.status(rollout)["groups"][0]["success"] == 0  # it has not proven itself yet
    with swupdate(certificate, folder, server.address, "-k", token, "-c 2"):
        wait_for(lambda: server.status(rollout)["state"] == "finished", folder)
    assert server.status(rollout)["groups"][0]["success"] == 1
