"""Power cuts at every step of an update, on a disk that forgets what was not synced.

Each scenario is carried out once, and each step that it takes on the disk is recorded. Then a cut after each
of them is played, in several ways, and the device starts on what is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent import __version__
from edge_agent.bundle import archive
from edge_agent.supervisor.offers import BundleWatch
from edge_agent.supervisor.probation import Probation
from edge_agent.update import machine
from edge_agent.update.errors import RefusedError
from edge_agent.update.memory import Phase
from edge_agent.update.repository_client import RepositoryClient
from edge_agent.update.slots import DeviceFolder
from edge_agent.update.updater import Outcome, Updater, Wanted
from edge_agent.update.waiting import Limits
from tests.fixtures.disk import CUTS, Recording, Remains, Sync, SyncNames, remains
from tests.fixtures.field import NAME, Field

Scenario = Callable[["Site", Path], None]
OLD, NEW = "1.0.0", "1.0.1"


class Site:
    """A repository with two releases, and devices in this process.

    Attributes:
        digests: of the bundles, by version.
        size: of the new bundle, bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._field = Field(folder)
        releases = [self._field.publish(number) for number in (1, 2)]
        self.digests = {release.version: release.digest for release in releases}
        self.size = (folder / "2.bundle").stat().st_size
        self._trust = (folder / "root.json").read_bytes()

    def update(
        self, root: Path, version: str | None = None, *, bad: bool = False, watched: bool = False
    ) -> Outcome:
        """One update of the device in `root`; a `bad` bundle fails once it is in its slot."""

        def prove(path: Path) -> None:
            if bad and not path.name.startswith("."):
                raise RefusedError("always fires")

        folder = DeviceFolder.made(root)
        with folder.locked():
            return Updater(
                folder,
                lambda: RepositoryClient(
                    self._field.repository.folder.as_uri(), self._trust, folder.metadata, Limits()
                ),
                watched=lambda: watched,
                present={"agent": __version__},
                prove_bundle=prove,
            ).run(Wanted(name=NAME, version=version))


def decide(root: Path, verdict: machine.Event) -> None:
    """What the daemon does at the end of a probation."""
    folder = DeviceFolder.made(root)
    daemon = Probation(folder, lambda *event: None, lambda: 0.0)
    daemon.begin()
    daemon.decide(verdict)


def first_install(site: Site, root: Path) -> None:
    site.update(root)


def update(site: Site, root: Path) -> None:
    site.update(root)


def rolled_back(site: Site, root: Path) -> None:
    assert site.update(root, bad=True).memory.phase is Phase.ROLLED_BACK


def kept_after_probation(site: Site, root: Path) -> None:
    site.update(root, watched=True)
    decide(root, machine.Kept())


def taken_back_on_probation(site: Site, root: Path) -> None:
    site.update(root, watched=True)
    decide(root, machine.Refused("always fires"))


SCENARIOS: tuple[Scenario, ...] = (
    first_install, update, rolled_back, kept_after_probation, taken_back_on_probation
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def record(site: Site, scenario: Scenario, folder: Path) -> Recording:
    """Carries the scenario out on a device in `folder`."""
    device = folder / "device"
    device.mkdir()
    if scenario is not first_install:
        site.update(device, OLD)
    recording = Recording(device)
    with recording.recorded():
        scenario(site, device)
    return recording


def states(recording: Recording) -> Iterator[tuple[str, Remains]]:
    """What any cut may leave, each once, and what led there."""
    seen = set()
    for place in range(len(recording.steps) + 1):
        for cut in CUTS:
            left = remains(recording.before, recording.steps, place, cut)
            if (key := left.key()) not in seen:
                seen.add(key)
                yield f"{cut.name}, after {place} of {len(recording.steps)} steps", left


def survives(site: Site, scenario: Scenario, root: Path) -> None:
    """The device in `root` starts: it has a whole bundle, and the next update ends well."""
    bad = scenario in (rolled_back, taken_back_on_probation)
    folder = DeviceFolder.made(root)
    Probation(folder, lambda *event: None, lambda: 0.0).begin()
    offered = BundleWatch(folder, "").look()
    if scenario is not first_install or folder.current() is not None:
        assert archive.read(Path(offered[0].path)).digest in site.digests.values()
    outcome = site.update(root, bad=bad)
    memory = outcome.memory
    running = archive.read(root / "current" / "release.bundle").digest
    fetched = outcome.fetched.bytes if outcome.fetched else 0
    assert fetched <= site.size, "at most one more download"
    assert memory.phase in machine.RESTING
    assert running == site.digests[OLD if bad else NEW]
    assert memory.current is not None
    assert memory.current.digest == running
    assert bool(memory.failed) == bad
    assert not list(root.rglob(".*.part"))


def play(site: Site, scenario: Scenario, recording: Recording, folder: Path, every: int = 1) -> int:
    """Plays each `every`th of the states in `folder`; gives how many those were."""
    played = 0
    for number, (how, left) in enumerate(states(recording)):
        if number % every:
            continue
        root = folder / "cut"
        left.write(root)
        try:
            survives(site, scenario, root)
        except Exception as e:
            raise AssertionError(f"{scenario.__name__}: {how}") from e
        shutil.rmtree(root)
        played += 1
    return played


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_power_cut_at_some_steps_leaves_a_device_that_works(site, tmp_path, scenario):
    """A slice: `make faults` plays every step."""
    assert play(site, scenario, record(site, scenario, tmp_path), tmp_path, every=25) > 2


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_power_cut_at_every_step_leaves_a_device_that_works(
    site, tmp_path, scenario, record_property
):
    recording = record(site, scenario, tmp_path)
    record_property("tried", play(site, scenario, recording, tmp_path))


@pytest.mark.parametrize("forgotten", [Sync, SyncNames])
def test_a_program_that_forgets_to_sync_would_be_found_out(site, tmp_path, forgotten):
    recording = record(site, update, tmp_path)
    recording.steps = [step for step in recording.steps if not isinstance(step, forgotten)]
    with pytest.raises(AssertionError, match=r"^update: "):
        play(site, update, recording, tmp_path)
