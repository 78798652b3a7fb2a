"""The study of a search: what was tried, kept in SQLite by Optuna, which proposes what to try next."""

from __future__ import annotations

import dataclasses
import sqlite3
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from components.base import UserError
from components.tuner.outcome import Finished, Outcome, Rival
from components.tuner.space import DEPTHS, FIRST_WIDTHS, GROWTHS, WIDTH_STEP, Proposal, known

# Of the accuracy, and of `Costs` in their order.
_DIRECTIONS: Final = ("maximize", "minimize", "minimize", "minimize")
_OUTCOME, _REPEATS = "outcome", "repeats"


class Study:
    """What was tried on one set of data, and what to try next.

    Optuna's own pruners take one objective; here a trial is pruned if it is too large to be trained,
    or if a rival that takes no more is ahead (see `components.tuner.outcome.beaten_by`).

    Args:
        database: SQLite file, made if it is not there.
        name: of the study in it; one that is there goes on.
        architectures: those that are searched, by name.
        first: the one to begin with.
        seed: of the proposals.

    Raises:
        UserError: if the file is not a study's.
    """

    def __init__(
        self, database: Path, name: str, architectures: Collection[str], first: str, seed: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self.name = name
        self._architectures = tuple(sorted(architectures))
        self._seed = seed
        try:
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{database}", {"creator": lambda: _connect(database)}
            )
            self._study = optuna.create_study(
                storage=storage, study_name=name, directions=_DIRECTIONS, load_if_exists=True
            )
        except (SQLAlchemyError, sqlite3.Error) as e:
            reason = str(e).splitlines()[0]
            raise UserError(
                f"{database}: no study can be kept there ({reason}): move it away"
            ) from e
        self._under_way: dict[int, optuna.trial.Trial] = {}
        self._resume(known(self._architectures, first))

    def ask(self) -> tuple[int, Proposal]:
        """The number of a new trial, and what to try; `tell` must follow."""
        # A sampler of its own for each: one that goes on after an interruption draws no number twice.
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self._seed + len(self._study.get_trials(deepcopy=False)),
            multivariate=True,
        )
        trial = self._study.ask()
        self._under_way[trial.number] = trial
        return trial.number, Proposal(
            architecture=trial.suggest_categorical("architecture", self._architectures),
            depth=trial.suggest_int("depth", *DEPTHS),
            width=trial.suggest_int("width", *FIRST_WIDTHS, step=WIDTH_STEP),
            growth=trial.suggest_categorical("growth", GROWTHS),
        )

    def tell(self, number: int, outcome: Outcome, *, repeats: int | None = None) -> None:
        """Notes what came of trial `number`; `repeats` is the trial that was the same network."""
        trial = self._under_way.pop(number)
        # Above 0 is what no device of the wanted size can take: proposals learn to keep away from it.
        trial.set_constraint("fits", 1.0 if outcome.state in ("too_large", "unfit") else 0.0)
        trial.set_user_attr(_OUTCOME, dataclasses.asdict(outcome))
        if repeats is not None:
            trial.set_user_attr(_REPEATS, repeats)
        if outcome.state == "complete":
            assert outcome.accuracy is not None
            assert outcome.costs is not None
            values = [outcome.accuracy, *map(float, dataclasses.astuple(outcome.costs))]
            self._study.tell(number, values)
        else:
            self._study.tell(number, state=TrialState.PRUNED)

    def again(self, number: int, proposal: Proposal) -> None:
        """Gives trial `number` up, to be tried first when the search goes on."""
        self._study.tell(number, state=TrialState.FAIL)
        self._study.enqueue_trial(proposal.parameters)

    def finished(self) -> list[Finished]:
        """The trials that ended, without repetitions, in order."""
        return [
            Finished(
                number=trial.number,
                architecture=trial.params["architecture"],
                widths=Proposal.of(trial.params).widths,
                outcome=_outcome_of(trial),
            )
            for trial in self._study.get_trials(
                deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
            )
            if _REPEATS not in trial.user_attrs
        ]

    def earlier(self, proposal: Proposal) -> Finished | None:
        """The finished trial of the same network, if there is one."""
        same = (proposal.architecture, proposal.widths)
        return next((t for t in self.finished() if (t.architecture, t.widths) == same), None)

    def rivals(self) -> tuple[Rival, ...]:
        """The trials that were trained to their end."""
        return tuple(
            Rival(costs=t.outcome.costs, accuracies=t.outcome.accuracies)
            for t in self.finished()
            if t.outcome.state == "complete" and t.outcome.costs is not None
        )

    def _resume(self, seeds: Sequence[Proposal]) -> None:
        """Puts the known architectures first, and what a killed search had under way before all."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            if len(trial.params) == len(dataclasses.fields(Proposal)):
                self._study.enqueue_trial(trial.params)
        for proposal in seeds:
            self._study.enqueue_trial(proposal.parameters, skip_if_exists=True)


def _connect(database: Path) -> sqlite3.Connection:
    # Optuna commits each number by itself. Power that fails may cost the last of them, not the file.
    connection = sqlite3.connect(database, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _outcome_of(trial: FrozenTrial) -> Outcome:
    return Outcome.of(trial.user_attrs[_OUTCOME])
