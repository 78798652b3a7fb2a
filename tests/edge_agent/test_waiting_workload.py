"""A workload without a bundle says which one it waits for, once."""

import selectors
import subprocess

from edge_agent.supervisor.life import Life
from edge_agent.supervisor.offers import BundleWatch
from edge_agent.supervisor.workload import Settings, Workload
from edge_agent.tables import Limits
from edge_agent.update.slots import DeviceFolder
from tests.fixtures.daemons import daemon, write_config


def waiting(folder, bundle, life=None):
    """What it tells, having looked three times; `life` is where it stands in the beginning."""
    told = []
    settings = Settings(
        source="-", runtime="auto", mqtt=None, device="d", limits=Limits(), root=str(folder),
        watch=BundleWatch(DeviceFolder(folder), bundle),
    )  # fmt: skip
    with selectors.DefaultSelector() as selector:
        workload = Workload("keyword", settings, selector, lambda *event: told.append(event), float)
        workload.life = life or workload.life
        for _ in range(3):
            workload.look()
    return told


def test_a_bundle_of_the_settings_that_is_not_there_is_told_by_its_path(tmp_path):
    ((source, event, body),) = waiting(tmp_path / "device", str(tmp_path / "wrods.bundle"))
    assert (source, event) == ("keyword", "waiting")
    assert body == {"text": f"{tmp_path / 'wrods.bundle'}: is not there, and is waited for"}


def test_a_bundle_that_was_refused_is_there_and_not_waited_for(tmp_path):
    path = tmp_path / "cut.bundle"
    path.write_bytes(b"PK")
    (bundle,) = BundleWatch(DeviceFolder(tmp_path / "device"), str(path)).look()
    life = Life(offered=(bundle,), refused=frozenset({bundle.digest}))
    assert waiting(tmp_path / "device", str(path), life) == []


def test_a_bundle_that_cannot_be_read_is_named_once(tmp_path):
    (tmp_path / "cut.bundle").write_bytes(b"PK")
    config = write_config(tmp_path, '[keyword]\nsource = "-"\nbundle = "cut.bundle"\n')
    with daemon(config, stdin=subprocess.PIPE) as running:
        text = running.wait("refused", "keyword")["text"]
    assert text.startswith(f"{tmp_path / 'cut.bundle'}: not a whole bundle")


def test_a_device_that_nothing_was_ever_installed_on_says_what_to_do(tmp_path):
    ((_, _, body),) = waiting(tmp_path / "device", "")
    assert "device: holds no release" in body["text"]
    assert "edge_agent install" in body["text"]
