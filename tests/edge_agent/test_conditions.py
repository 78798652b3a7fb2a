"""What holds an update back before its download: the window, a metered network, the disk, old software."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import __version__
from edge_agent.update import errors
from edge_agent.update.conditions import Conditions, default_interfaces, parse_window
from edge_agent.update.examination import examine
from edge_agent.update.memory import Phase
from edge_agent.update.partial import Partial
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.slots import DeviceFolder
from edge_agent.update.updater import Updater, Wanted
from edge_agent.update.waiting import Limits
from tests.fixtures.field import NAME, Field

NOON = datetime.time(12)


@given(st.times(), st.times(), st.times())
def test_a_window_and_the_rest_of_the_day_share_no_moment(begin, end, moment):
    begin, end = (t.replace(second=0, microsecond=0) for t in (begin, end))
    if begin != end:
        window = parse_window(f"{begin:%H:%M}-{end:%H:%M}")
        rest = parse_window(f"{end:%H:%M}-{begin:%H:%M}")
        assert (moment in window) != (moment in rest)
        assert begin in window
        assert end not in window


@pytest.mark.parametrize("text", ["", "2-4", "02:00-25:00", "02:00-02:00", "02:00", "02:00-03:00 "])
def test_what_is_no_window_is_refused(text):
    with pytest.raises(ValueError, match='as in "02:00-04:30"'):
        parse_window(text)


def test_the_default_routes_say_which_network_it_is(tmp_path):
    ipv4, ipv6 = tmp_path / "route", tmp_path / "ipv6_route"
    assert default_interfaces(ipv4, ipv6) == set()
    ipv4.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "wwan0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    none, one = "0" * 32, "fd" + "0" * 29 + "1"
    ipv6.write_text(
        f"{none} 00 {none} 00 {one} 00000400 00000003 00000000 00000003     ppp0\n"
        f"{none} 00 {none} 00 {none} ffffffff 00000001 00000000 00200200       lo\n"
    )
    assert default_interfaces(ipv4, ipv6) == {"wwan0", "ppp0"}


def test_a_metered_network_has_a_limit_and_others_have_none():
    conditions = Conditions(metered_bytes=1000, metered_interfaces=("wwan*", "ppp*"))
    assert conditions.most_bytes(NOON, {"wwan0"}) == 1000
    assert conditions.most_bytes(NOON, {"eth0", "ppp1"}) == 1000
    assert conditions.most_bytes(NOON, {"eth0"}) is None
    assert conditions.most_bytes(NOON, ()) is None


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Field:
    """A repository with two releases."""
    field = Field(tmp_path_factory.mktemp("conditions"))
    for number in (1, 2):
        field.publish(number)
    return field


class Device:
    """A device in this process, and what its updates come to."""

    def __init__(self, field: Field, root) -> None:
        self.field = field
        self.folder = DeviceFolder.made(root)

    def update(self, *, version=None, disk_bytes=None, **more):
        trust = (self.field.folder / "root.json").read_bytes()
        url = self.field.repository.folder.as_uri()
        limits = Limits(disk_bytes=disk_bytes)
        return Updater(
            self.folder,
            lambda: RepositoryClient(url, trust, self.folder.metadata, limits),
            **{
                "watched": lambda: False,
                "present": {"agent": __version__},
                "prove_bundle": examine,
                **more,
            },
        ).run(Wanted(name=NAME, version=version))


@pytest.fixture
def device(site, tmp_path) -> Device:
    return Device(site, tmp_path / "device")


def allowance(conditions: Conditions, *interfaces: str):
    return lambda: conditions.most_bytes(NOON, interfaces)


def test_outside_the_window_nothing_is_fetched_and_that_is_no_error(device):
    conditions = Conditions(window=parse_window("02:00-04:30"))
    outcome = device.update(allowance=allowance(conditions))
    assert (outcome.error, outcome.fetched, outcome.memory.phase) == (None, None, Phase.IDLE)
    assert outcome.memory.waits == "waits for the maintenance window, 02:00 to 04:30"
    conditions = Conditions(window=parse_window("23:00-13:00"))
    outcome = device.update(allowance=allowance(conditions))
    assert outcome.memory.phase is Phase.COMMITTED
    assert outcome.memory.waits is None


def test_over_a_metered_network_only_what_is_small_comes(site, device):
    assert device.update(version="1.0.0").memory.phase is Phase.COMMITTED
    for most in (0, 10_000):
        conditions = Conditions(metered_bytes=most, metered_interfaces=("wwan*",))
        outcome = device.update(allowance=allowance(conditions, "wwan0"))
        if most == 0:
            assert "more than the 0 that update.metered_bytes allows" in outcome.memory.waits
            assert outcome.fetched is None
    assert outcome.memory.current.version == "1.0.1"
    assert outcome.fetched.delta
    assert outcome.fetched.bytes <= 10_000 < (site.folder / "2.bundle").stat().st_size


def test_a_disk_quota_is_kept(device):
    outcome = device.update(disk_bytes=10_000)
    assert "are beyond update.disk_quota, 10000: raise it" in str(outcome.error)
    alarms = device.folder.root / "alarms"
    alarms.mkdir()
    (alarms / "alarm-7.csv").write_bytes(bytes(2 << 20))  # has a bound of its own
    assert device.update(disk_bytes=1 << 20).memory.phase is Phase.COMMITTED


def test_what_has_come_of_a_download_is_not_counted_twice(device):
    assert device.update(disk_bytes=10_000).memory.phase is Phase.IDLE
    root = device.folder.root
    size = (device.field.folder / "1.bundle").stat().st_size
    held = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    Partial(device.folder.aside("a"), "").path.write_bytes(bytes(size - 100))
    outcome = device.update(disk_bytes=held + size + 5_000, version="1.0.0")
    assert outcome.memory.phase is Phase.COMMITTED, outcome.error


@pytest.mark.parametrize("name", ["agent", "litert", "tflite_runtime"])
def test_old_software_is_told_before_the_download(device, name):
    outcome = device.update(present={"agent": __version__, name: "0.0.1"})
    assert isinstance(outcome.error, errors.IncompatibleError)
    assert f"needs {name}" in str(outcome.error)
    assert f"this is 0.0.1: update {name}" in str(outcome.error)
    assert outcome.fetched is None


def test_the_settings_hold_for_the_command(site, tmp_path):
    now = datetime.datetime.now()
    later = [now + datetime.timedelta(hours=hours) for hours in (2, 3)]
    path = site.config(tmp_path / "device")
    with path.open("a") as file:
        file.write('[update]\nwindow = "{:%H:%M}-{:%H:%M}"\n'.format(*later))
    done = site.agent("update-once", "--config", path)
    assert done.returncode == 0, done.stderr
    assert "waits for the maintenance window" in done.stdout
    assert '"waits": "waits for' in site.agent("status", "--config", path, "--json").stdout
    done = site.agent("update-once", "--config", path, "--now", "--json")
    assert '"state": "committed"' in done.stdout, done.stderr
