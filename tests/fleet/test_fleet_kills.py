"""Two server processes and their PostgreSQL, killed (SIGKILL) at random while rollouts go on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fleet.control import devices
from fleet.rollout.plan import Group, waves
from fleet.store.database import Database
from tests.fixtures.fleet_server import links
from tests.fixtures.ports import HeldPort
from tests.fixtures.postgresql_cluster import Cluster, own_cluster
from tests.fixtures.small_fleet import SmallFleet

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("FLEET_KILLS", "100"))
CLOSED = {"status": {"execution": "closed", "result": {"finished": "success"}}}


class Worker:
    """A server process at a port that stays its own over restarts."""

    def __init__(self, root: Path, url: str) -> None:
        self._held = HeldPort()
        self.port = self._held.number
        command = [sys.executable, "-m", "fleet", "serve", "--root", str(root)]
        self._command = [*command, "--database", url, "--port", str(self.port)]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class Talker(threading.Thread):
    """A device that polls either worker until it has installed what it was shown."""

    def __init__(self, name: str, ports: list[int], token: str, stop: threading.Event) -> None:
        super().__init__()
        self.device = name
        self.shown: set[str] = set()
        self._ports, self._stop_asked = ports, stop
        self._headers = {"Authorization": f"GatewayToken {token}"}

    def run(self) -> None:
        with httpx.Client(headers=self._headers, timeout=30) as client:
            while not self._stop_asked.wait(random.uniform(0.2, 1.0)):
                base = f"http://127.0.0.1:{random.choice(self._ports)}/default/controller/v1"
                with contextlib.suppress(httpx.HTTPError):  # killed: the device asks again
                    self._poll(client, base)

    def _poll(self, client: httpx.Client, base: str) -> None:
        answer = client.get(f"{base}/{self.device}")
        if answer.status_code != 200 or "deploymentBase" not in links(answer):
            return
        href = links(answer)["deploymentBase"].partition("?")[0]
        self.shown.add(href.rpartition("/")[2])
        client.post(f"{href}/feedback", json=CLOSED)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_cluster() as cluster:
        yield cluster


@pytest.mark.soak
def test_nothing_is_lost_or_doubled(cluster, tmp_path):
    killed = survive(cluster, tmp_path, 40, KILLS)
    print(f"killed: {dict(killed)}")


@pytest.mark.slow
def test_a_slice_of_it(cluster, tmp_path):
    survive(cluster, tmp_path, 8, 3)


def survive(cluster: Cluster, folder: Path, count: int, kills: int) -> Counter[str]:
    """Kills so often, and then counts; gives who was killed how often."""
    database = Database(cluster.url)
    fleet = SmallFleet(database, folder)
    fleet.add_devices(count)
    text = cluster.url.render_as_string(hide_password=False)
    workers = [Worker(folder, text) for _ in range(2)]
    victims = {"first worker": workers[0], "second worker": workers[1], "PostgreSQL": cluster}
    order = (list(victims) * kills)[:kills]
    random.shuffle(order)
    stop = threading.Event()
    ports = [worker.port for worker in workers]
    names = [f"device-{number}" for number in range(count)]
    talkers = [Talker(name, ports, fleet.gateway_token, stop) for name in names]
    try:
        for talker in talkers:
            talker.start()
        rollouts = []
        for name in order:
            if not rollouts or fleet.status(rollouts[-1])["state"] == "finished":
                canary = Group(name="canary", percent=30, minimum_sample=3, exposure=4)
                release = fleet.release(f"1.0.{len(rollouts)}")
                fleet.now = time.time()
                rollouts.append(fleet.start(release, *waves(canary, (100,)), time_out_s=3600.0))
            time.sleep(random.uniform(0.0, 1.0))
            victims[name].kill()
            victims[name].start()
        end = time.monotonic() + 120
        while fleet.status(rollouts[-1])["state"] != "finished" and time.monotonic() < end:
            time.sleep(0.5)
    finally:
        stop.set()
        for talker in talkers:
            talker.join()
        for worker in workers:
            worker.kill()
    assert [fleet.status(r)["state"] for r in rollouts] == ["finished"] * len(rollouts)
    for talker in talkers:
        with database.read() as connection:
            row = devices.find(connection, fleet.tenant.id, talker.device)
            actions = devices.history(connection, row.id, limit=1000)
        assert {str(action["id"]) for action in actions} == talker.shown
        assert [a["rollout"] for a in actions] == sorted(rollouts, reverse=True)
        assert Counter(a["state"] for a in actions) == {"success": len(rollouts)}
        assert all([r["execution"] for r in a["reports"]] == ["closed"] for a in actions)
    database.close()
    return Counter(order)
