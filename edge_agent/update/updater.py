"""One update of one device: carries out what the state machine asks for, and tells it what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from edge_agent.bundle import archive
from edge_agent.compatibility import CompatibilityError, check_minimum
from edge_agent.update import durable, errors, machine
from edge_agent.update.download import Source
from edge_agent.update.memory import Memory, Phase, Release, Terms
from edge_agent.update.offers import Offer
from edge_agent.update.proof import prove
from edge_agent.update.releases import choose, version_order
from edge_agent.update.repository_client import Fetched, RepositoryClient
from edge_agent.update.slots import DeviceFolder

Connect = Callable[[], RepositoryClient]
Prove = Callable[[Path], None]
Watched = Callable[[], bool]
Allowance = Callable[[], int | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a device should run: the `version` (None: the highest) of the line `name`.

    Attributes:
        insist: try it though it failed here before.
        target: its path in the repository; None to look for it by name and version.
        digest: SHA-256 (hex) that it must have; None for whatever is signed.
        older: whether it is meant even if it is older than what runs.
        elsewhere: where the file may be had if the repository holds its metadata alone.
    """

    name: str
    version: str | None = None
    insist: bool = False
    target: str | None = None
    digest: str | None = None
    older: Literal["taken", "declined"] = "taken"
    elsewhere: Source | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an update.

    Attributes:
        before: what ran before it, if anything.
        memory: where the device stands now; ``memory.current`` is what runs.
        fetched: what its download took; None if it came to none.
        error: why it did not happen; None if it did or nothing was to be done.
    """

    before: Release | None
    memory: Memory
    fetched: Fetched | None
    error: errors.UpdateError | None


class Updater:
    """Brings the device in `folder` to what is wanted; hold the folder's lock while it lives.

    Attributes:
        memory: where the device stands.

    Args:
        folder: the device's.
        connect: gives a client of the repository.
        watched: whether a daemon watches over bundles on probation here; without one, a bundle that
            passes its trial is kept.
        allowance: the most bytes that a download may take now, None for no limit; raises
            `WaitingError` if none may begin.
        present: the versions that a bundle's minimum is held against.
        entered: told each phase that is entered, once that is recorded.
        prove_bundle: raises `RefusedError` for a bundle that is not fit for this device.
    """

    def __init__(
        self,
        folder: DeviceFolder,
        connect: Connect,
        *,
        watched: Watched,
        allowance: Allowance = lambda: None,
        present: Mapping[str, str],
        entered: Callable[[Memory], None] = lambda memory: None,
        prove_bundle: Prove = prove,
    ) -> None:
        self._folder = folder
        self._connect = connect
        self._watched = watched
        self._allowance = allowance
        self._present = present
        self._entered = entered
        self._prove = prove_bundle
        self.memory = folder.memory()
        self._wanted = Wanted(name="")
        self._before = self.memory.current
        self._client: RepositoryClient | None = None
        self._offers: dict[str, Offer] = {}
        self._fetched: Fetched | None = None
        self._error: errors.UpdateError | None = None

    def run(self, wanted: Wanted) -> Outcome:
        """Ends what a former process left under way, then looks for what is `wanted` and installs it.

        A bundle on probation is left to the daemon that watches it; where none does, or this request
        insists on its own, it is taken back first, and not blamed.

        Raises:
            StorageError: if what the machine must remember cannot be written.
            BusyError: if the daemon does not say whether it watches.
        """
        self.resume()
        if wanted.insist:
            self.withdraw("another release was asked for by hand")
        self.ask(wanted)
        return self.outcome()

    def resume(self) -> None:
        """Ends what a former process left under way.

        Raises:
            StorageError, BusyError: see `run`.
        """
        running = self._folder.running(self.memory)
        self._before = self.memory.current or running
        self._feed(machine.Started(running))
        if self.memory.phase is Phase.PROBATION and not self._watched():
            self.withdraw("no daemon watches its probation any more")
        if self.memory.phase in machine.RESTING:
            self._folder.sweep()
            self._error = None

    def withdraw(self, reason: str) -> None:
        """Takes back a bundle on probation, if there is one, and does not blame it."""
        if self.memory.phase is Phase.PROBATION:
            self._feed(machine.Prevented(reason))

    def ask(self, wanted: Wanted, action: str | None = None) -> None:
        """Looks for what is `wanted` and installs it, unless another is on probation.

        Args:
            wanted: what should run.
            action: the number under which a server asks for it.

        Raises:
            StorageError: if what the machine must remember cannot be written.
        """
        self._wanted = wanted
        self._feed(machine.Asked(action))

    def reported(self) -> None:
        """The server has been told what was to be reported."""
        self._feed(machine.Reported())

    def outcome(self) -> Outcome:
        """What has come of it so far."""
        return Outcome(
            before=self._before, memory=self.memory, fetched=self._fetched, error=self._error
        )

    def _feed(self, event: machine.Event) -> None:
        """Gives the machine `event`, and those that follow from what it asks for."""
        following: machine.Event | None = event
        while following is not None:
            before = self.memory.phase
            self.memory, effects = machine.step(self.memory, following)
            following = None
            for effect in effects:
                following = self._carry_out(effect)
                if isinstance(effect, machine.Save) and self.memory.phase is not before:
                    self._entered(self.memory)
                if following is not None:
                    break

    def _carry_out(self, effect: machine.Effect) -> machine.Event | None:
        if isinstance(effect, machine.Save):
            self._folder.record(self.memory)
            return None
        try:
            return _CARRY_OUT[type(effect)](self, effect)
        except errors.RefusedError as e:
            self._error = e
            return machine.Refused(str(e))
        except errors.WaitingError as e:
            return machine.Deferred(str(e))
        except (errors.IncompatibleError, errors.UnknownReleaseError, errors.DeclinedError) as e:
            self._error = e
            return machine.Declined(str(e))
        except errors.UpdateError as e:
            self._error = e
            return machine.Prevented(str(e))

    def _check(self, effect: machine.Check) -> machine.Event:
        self._client = self._connect()
        line = (self._wanted.target or self._wanted.name).partition("/")[0]
        self._offers = self._client.releases(line)
        target, offer = self._choose()
        current = self.memory.current
        if current is None or current.digest != offer.digest:
            self._check_minimum(f"{offer.name} {offer.version}", offer.minimum)
        failure = self.memory.failure(offer.digest)
        if failure and not self._wanted.insist and (not current or current.digest != offer.digest):
            self._error = errors.RefusedError(
                f"{offer.name} {offer.version} failed here before and is not tried again "
                f"({failure.reason}): release a better one, or install it by hand"
            )
        release = Release(
            name=offer.name, version=offer.version, digest=offer.digest, slot="", target=target
        )
        return machine.Offered(release, insist=self._wanted.insist)

    def _choose(self) -> tuple[str, Offer]:
        """The release that is wanted, as the repository offers it.

        Raises:
            UnknownReleaseError: if it does not.
            DeclinedError: if it is not the one that was meant.
        """
        wanted = self._wanted
        if wanted.target is None:
            target, offer = choose(self._offers, wanted.name, wanted.version)
        elif wanted.target in self._offers:
            target, offer = wanted.target, self._offers[wanted.target]
        else:
            raise errors.UnknownReleaseError(f"the repository holds no release {wanted.target}")
        if wanted.digest is not None and wanted.digest != offer.digest:
            raise errors.DeclinedError(
                f"{target}: the server means the digest {wanted.digest}, and {offer.digest} is signed"
            )
        current = self.memory.current
        if wanted.older == "declined" and current is not None and current.name == offer.name:
            here, there = version_order(current.version), version_order(offer.version)
            if here is not None and there is not None and there < here:
                raise errors.DeclinedError(
                    f"{offer.name} {offer.version} is older than {current.version}, which runs, and no "
                    "roll-back was asked for"
                )
        return target, offer

    def _download(self, effect: machine.Download) -> machine.Event:
        release = effect.release
        assert self._client is not None  # Download follows Check in one process
        self._fetched = self._client.download(
            release.target,
            self._offers[release.target],
            self._folder.aside(release.slot),
            self._folder.bundles(),
            self._allowance(),
            self._wanted.elsewhere,
        )
        return machine.Downloaded()

    def _verify(self, effect: machine.Verify) -> machine.Event:
        release = effect.release
        aside = self._folder.aside(release.slot)
        if not aside.is_file():
            raise errors.StorageError(f"{aside}: what was downloaded is gone: try again")
        try:
            bundle = archive.read(aside)
        except archive.BundleError as e:
            raise errors.RefusedError(f"{release.target}: {e}") from e
        if bundle.digest != release.digest:
            raise errors.RefusedError(
                f"{release.target}: its content does not have the digest that its release names: "
                "tell the repository's owner"
            )
        self._check_minimum(f"{release.name} {release.version}", bundle.manifest.minimum)
        self._prove_release(release, aside)
        return machine.Verified()

    def _settle(self, effect: machine.Settle) -> machine.Event:
        release = effect.release
        if self._folder.digest(release.slot) != release.digest:
            self._folder.settle(release.slot)
        else:
            durable.remove(self._folder.aside(release.slot))
        return machine.Settled()

    def _flip(self, effect: machine.Flip) -> None:
        self._folder.flip(effect.release.slot)

    def _try(self, effect: machine.Try) -> machine.Event:
        release = effect.release
        if self._folder.digest(release.slot) != release.digest:
            raise errors.StorageError(f"slot {release.slot}: does not hold {release.version}")
        bundle = self._folder.bundle(release.slot)
        self._prove_release(release, bundle)
        return machine.Passed(_terms(bundle)) if self._watched() else machine.Kept()

    def _restore(self, effect: machine.Restore) -> None:
        self._folder.restore(effect.release)

    def _check_minimum(self, what: str, minimum: Mapping[str, str]) -> None:
        try:
            check_minimum(minimum, self._present)
        except CompatibilityError as e:
            raise errors.IncompatibleError(f"{what}: {e}, or install an older release") from e

    def _prove_release(self, release: Release, path: Path) -> None:
        try:
            self._prove(path)
        except errors.RefusedError as e:
            raise errors.RefusedError(f"{release.target}: {e}") from e


def _terms(path: Path) -> Terms:
    manifest = archive.read(path).manifest
    return Terms(
        triggers_per_hour=manifest.envelope.triggers_per_hour,
        crashes=manifest.envelope.crashes,
        latency_ms=manifest.budget.latency_ms,
        memory_bytes=manifest.budget.memory_bytes,
    )


_CARRY_OUT: dict[type[machine.Effect], Callable[[Updater, Any], machine.Event | None]] = {
    machine.Check: Updater._check,
    machine.Download: Updater._download,
    machine.Verify: Updater._verify,
    machine.Settle: Updater._settle,
    machine.Flip: Updater._flip,
    machine.Try: Updater._try,
    machine.Restore: Updater._restore,
}
