"""A workload without a bundle says which one it waits for, once."""

import selectors

from edge_agent.supervisor.offers import BundleWatch
from edge_agent.supervisor.workload import Settings, Workload
from edge_agent.tables import Limits
from edge_agent.update.slots import DeviceFolder


def waiting(folder, bundle):
    """The workload, and the events that it told."""
    told = []
    settings = Settings(
        source="-", runtime="auto", mqtt=None, device="d", limits=Limits(), root=str(folder),
        watch=BundleWatch(DeviceFolder(folder), bundle),
    )  # fmt: skip
    with selectors.DefaultSelector() as selector:
        workload = Workload("keyword", settings, selector, lambda *event: told.append(event), float)
        for _ in range(3):
            workload.look()
    return told


def test_a_bundle_of_the_settings_that_is_not_there_is_told_by_its_path(tmp_path):
    ((source, event, body),) = waiting(tmp_path / "device", str(tmp_path / "wrods.bundle"))
    assert (source, event) == ("keyword", "waiting")
    assert body == {"text": f"{tmp_path / 'wrods.bundle'}: is not there, and is waited for"}


def test_a_device_that_nothing_was_ever_installed_on_says_what_to_do(tmp_path):
    ((_, _, body),) = waiting(tmp_path / "device", "")
    assert "device: holds no release" in body["text"]
    assert "edge_agent install" in body["text"]
