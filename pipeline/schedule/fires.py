"""What one fire of the schedule does: wait for the root, look at the data, run, record, tell."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from components.artifacts import read_json
from components.base import UserError
from pipeline.root_lock import RootBusy, hold
from pipeline.schedule.hooks import Hook, Outcome, tell
from pipeline.schedule.ledger import Ledger, State
from pipeline.schedule.recordings import listing_digest, settled
from pipeline.schedule.run_process import INTERRUPTED, Runs

_POLL = 2.0  # seconds between looks at a root that is taken
_PATIENCE = 3600.0  # seconds that recordings may take to settle
_REFUSED = 3
_STATES: dict[int, State] = {0: "complete", _REFUSED: "refused", INTERRUPTED: "interrupted"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What a fire runs, and when it does not.

    Attributes:
        recipe: the recipe's name.
        root: where it runs.
        words: the arguments of ``python -m pipeline run``.
        data: folder of recordings, None where they are synthesised.
        new_data_only: run only if the recordings, or `words`, are not those of the last complete run.
        settle: seconds for which the recordings must not have changed.
        busy: what to do while another run has the root.
        on_success: whom to tell of a complete run.
        on_failure: whom to tell of one that failed or was refused.
    """

    recipe: str
    root: Path
    words: tuple[str, ...]
    data: Path | None
    new_data_only: bool
    settle: float
    busy: Literal["wait", "skip"]
    on_success: tuple[Hook, ...]
    on_failure: tuple[Hook, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How a fire ended.

    Attributes:
        state: see `pipeline.schedule.ledger.Fire`.
        code: the exit code that says so.
        reason: why, where there was no run to say so itself.
        data: digest of the listing it started from.
    """

    state: State
    code: int
    reason: str = ""
    data: str | None = None


class Fires:
    """Does what `plan` says, each time that it is called.

    Args:
        plan: what to do.
        ledger: where it is recorded.
        runs: runs the recipe, and tells when to end.
        newest_run: gives the number of the newest run in the lineage, 0 if there is none.
        log: takes lines for people.
    """

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        runs: Runs,
        newest_run: Callable[[], int],
        log: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._ledger = ledger
        self._runs = runs
        self._newest_run = newest_run
        self._log = log

    def __call__(self) -> int:
        """One fire; gives the exit code that says how it went."""
        fire = self._ledger.begin()
        started = time.monotonic()
        before = self._number()
        try:
            ended = self._attempt()
        except OSError as e:
            reason = f"{e.filename or self._plan.root}: {e.strerror or e}"
            ended = Ended(state="failed", code=1, reason=reason)
        outcome = self._outcome(ended, before)
        self._ledger.end(fire, ended.state, ended.reason, outcome.run, ended.data)
        seconds = f"{time.monotonic() - started:.0f} s"
        self._log(f"{ended.state} after {seconds}" + (f": {ended.reason}" if ended.reason else ""))
        if not self._runs.ended:
            self._tell(outcome)
        return ended.code

    def _attempt(self) -> Ended:
        plan = self._plan
        while True:
            if self._is_taken():
                if plan.busy == "skip":
                    return Ended(state="skipped", code=1, reason="another run has the root")
                self._log("another run has the root; waiting for it")
                while self._is_taken():
                    if not self._runs.pause(_POLL):
                        return _interrupted()
            data: str | None = None
            if plan.new_data_only and plan.data is not None:
                data = self._settled(plan.data)
                if self._runs.ended:
                    return _interrupted()
                if data is None:
                    return Ended(
                        state="skipped", code=1, reason="the recordings are still being changed"
                    )
                if data == self._ledger.last_complete_data():
                    return Ended(state="unchanged", code=0, reason="no new recordings")
            self._log(f"running {plan.recipe}")
            code = self._runs.run(plan.words)
            if code == 1 and not self._runs.ended and self._is_taken():
                continue  # somebody else was quicker
            if self._runs.ended and code not in (0, _REFUSED):
                return _interrupted()
            reason = f"ended by signal {-code}" if code < 0 else ""
            return Ended(state=_STATES.get(code, "failed"), code=code, reason=reason, data=data)

    def _settled(self, data: Path) -> str | None:
        if self._plan.settle:
            self._log(f"looking whether the recordings are quiet for {self._plan.settle:g} s")
        return settled(
            lambda: listing_digest(data, self._plan.words),
            self._runs.pause,
            self._plan.settle,
            max(_PATIENCE, 2 * self._plan.settle),
        )

    def _is_taken(self) -> bool:
        try:
            with hold(self._plan.root):
                return False
        except RootBusy:
            return True

    def _outcome(self, ended: Ended, before: int | None) -> Outcome:
        """With what the report says, if the run left one."""
        number = self._number()
        is_new = before is not None and number is not None and number > before
        path = self._plan.root / self._plan.recipe / "report.json"
        report = read_json(path) if ended.state in ("complete", "refused") else None
        return Outcome(
            recipe=self._plan.recipe,
            root=str(self._plan.root),
            state=ended.state,
            exit_code=ended.code,
            run=number if is_new else None,
            report=None if report is None else str(path),
            version=None if report is None else report["model"]["version"],
        )

    def _number(self) -> int | None:
        """The newest run's number; None if the lineage cannot be read now."""
        try:
            return self._newest_run()
        except UserError as e:
            self._log(f"the run's number is not known: {e}")
            return None

    def _tell(self, outcome: Outcome) -> None:
        match outcome.state:
            case "complete":
                hooks = self._plan.on_success
            case "refused" | "failed" | "interrupted":
                hooks = self._plan.on_failure
            case _:
                hooks = ()
        for hook in hooks:
            wrong = tell(hook, outcome)
            self._log(f"told {hook.name}" if wrong is None else f"hook {hook.name}: {wrong}")


def _interrupted() -> Ended:
    return Ended(state="interrupted", code=INTERRUPTED, reason="the scheduler was ended")
