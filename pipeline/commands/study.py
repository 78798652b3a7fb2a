"""What ``run compression_study`` does: the study, its table and picture, and the release of its choice."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base import UserError
from pipeline.commands.recipe_arguments import data_folder, keywords_of, make_recipe
from pipeline.commands.store_arguments import open_telling

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.study.ledger import Record
    from pipeline.study.study import Result
    from pipeline.study.trials import Ran
    from pipeline.study.wiring import Purpose

RECIPE = "compression_study"
REFUSED = 3
_LIMITS = {
    "max_bytes": "bytes",
    "max_download_bytes": "download_bytes",
    "max_arena_bytes": "arena_bytes",
    "max_macs": "macs",
}
_DEFAULT_MINUTES = 60.0


def add_study(parser: Any) -> None:
    """Declares what only a study takes."""
    parser.add_argument(
        "--budget-minutes",
        type=float,
        metavar="N",
        help=f"{RECIPE}: time for it (default: {_DEFAULT_MINUTES:g})",
    )
    for name, what in (
        ("max-bytes", "bytes of the .tflite file"),
        ("max-download-bytes", "bytes of it after zstd"),
        ("max-arena-bytes", "bytes of arena"),
        ("max-macs", "multiply-accumulates an inference"),
    ):
        parser.add_argument(
            f"--{name}", type=float, metavar="N", help=f"{RECIPE}: most {what} of a release"
        )


def demand_none(arguments: argparse.Namespace) -> None:
    """Refuses a study's options for any other recipe.

    Raises:
        UserError: naming the first that was given.
    """
    for name in ("budget_minutes", *_LIMITS):
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            raise UserError(f"--{option} is for {RECIPE}: leave it out, or run that recipe")


def run_study(arguments: argparse.Namespace) -> int:
    """Runs the study, writes what it found, and releases its choice; 3 if nothing is released."""
    from pipeline import root_lock
    from pipeline.study.choice import choose, rows, sensitivities
    from pipeline.study.ledger import Ledger
    from pipeline.study.page import write_study
    from pipeline.study.study import Study
    from pipeline.study.techniques import candidates, read_techniques
    from pipeline.study.trials import Trials
    from pipeline.study.wiring import Source, wire
    from pipeline.ui.study_view import StudyView

    budget_s = 60.0 * _minutes(arguments)
    limits = _limits(arguments)
    if arguments.seed is not None:
        raise UserError(f"--seed: {RECIPE} takes several seeds itself: leave it out")
    root = Path(arguments.root).absolute()
    data = data_folder(arguments)
    make_recipe(arguments, root, data)  # refuses a setting that no step has
    source = Source(root=root, data=data, keywords=keywords_of(arguments))
    techniques = read_techniques()
    _demand_open(arguments.set, techniques.shares)
    tried = candidates(techniques.technique)
    folder = root / RECIPE
    folder.mkdir(parents=True, exist_ok=True)

    def wired(steps: tuple[str, ...], purpose: Purpose) -> Recipe:
        from pipeline.recipe import give_beam_options

        recipe = wire(source, steps, purpose)
        if arguments.beam_options:
            give_beam_options(recipe, arguments.beam_options)
        return recipe

    view = StudyView()
    with (
        root_lock.hold(root) as lock,
        contextlib.closing(open_telling(arguments, view.warning)) as store,
    ):
        from pipeline.runner import run_recipe

        list_ = [techniques.shares, [c.key for c in tried]]
        about = [arguments.set, budget_s, source.keywords, list_, limits]
        ledger = Ledger(folder / "ledger.json", _digest(root, data, about))
        trials = Trials(
            techniques,
            wire=wired,
            run=lambda recipe: ran_of(run_recipe(recipe, root, store, view, lock)),
            ledger=ledger,
            told=view,
            budget_s=budget_s,
            settings=arguments.set,
        )
        study = Study(tried, trials, ledger, budget_s=budget_s, limits=limits)
        compared = study.all_rungs()
        choice = choose(tried, rows(tried, compared), limits)

        def write(result: Result) -> None:
            write_study(
                folder,
                candidates=tried,
                result=result,
                table=rows(tried, result),
                sensitivities=sensitivities(tried, techniques.defaults, ledger.records),
                choice=choice,
                attempts=study.attempts,
                seconds=ledger.seconds,
                budget_s=budget_s,
                limits=limits,
            )

        write(compared)  # whatever becomes of the release
        attempts = study.release(choice.ranked)
        write(compared)
        judged = [attempt for attempt in attempts if attempt.judged]
        if judged:
            planned = study.planned(judged[-1])
            whole = run_recipe(trials.recipe(planned, "release"), root, store, view, lock)
            _leave(root, whole, data, judged[-1].seconds)
        write(study.late(compared))
    names = {candidate.key: candidate.name for candidate in tried}
    for attempt in attempts:
        print(_said(names[attempt.candidate], attempt))
    print(f"{'Chosen' if choice.ranked else 'Nothing to release'}: {choice.reason}.")
    print(f"The table and the picture: {folder / 'study.html'}")
    return 0 if any(attempt.released for attempt in attempts) else REFUSED


def _leave(root: Path, whole: Any, data: Path | None, seconds: float) -> None:
    """Leaves the report and the bundle of a release, or of what the gates refused."""
    from pipeline.outcome import leave, report_of

    report = report_of(RECIPE, root, whole, seconds)
    leave(RECIPE, root, whole, report, data or whole.artifacts["SpeechSynthesizer.recordings"])


def _said(name: str, attempt: Record) -> str:
    """A line on an attempt to release a candidate."""
    from pipeline.ui.figures import number

    seen = f"{name}, after {attempt.examples:,} examples"
    if attempt.failed:
        return f"Failed: {seen}: {attempt.failed}"
    if attempt.released:
        metrics = attempt.metrics
        accuracy = f"{metrics['int8_accuracy']:.3f} on test clips"
        return f"Released: {seen}: {accuracy}, {metrics['bytes']:,.0f} bytes"
    reasons = "; ".join(
        f"{r.gate} {number(r.value)}, limit {number(r.limit)}: {r.advice}" for r in attempt.refusals
    )
    return f"Refused: {seen}: {reasons}"


def ran_of(result: Any) -> Ran:
    """What the study needs of a run: the figures that were measured."""
    from components.artifacts import read_json
    from pipeline.study.trials import Ran

    metrics = {step.id: dict(step.metrics) for step in result.steps}
    folder = result.artifacts.get("InfraValidator.result")
    if folder is not None:
        vela = read_json(folder / "infra_validation.json")["vela"]
        if vela:
            metrics["InfraValidator"]["vela_cycles"] = float(vela["cycles"])
        if metrics["InfraValidator"]["arena_bytes"] < 0:
            del metrics["InfraValidator"]["arena_bytes"]  # not measured
    seconds = {step.id: step.seconds for step in result.steps if not step.hit}
    return Ran(seconds=seconds, metrics=metrics, gates=result.gates)


def _demand_open(settings: Sequence[str], trained: Collection[str]) -> None:
    """Refuses settings of what the study itself decides.

    Raises:
        UserError: naming the first.
    """
    from pipeline.study.trials import OWN

    for text in settings:
        owner, _, rest = text.strip().partition(".")
        if owner in trained and rest.partition("=")[0].strip() in OWN:
            raise UserError(
                f"--set {text}: {RECIPE} decides itself how much candidates see, and takes several "
                "seeds: leave it out (with a larger --budget-minutes they see more)"
            )


def _minutes(arguments: argparse.Namespace) -> float:
    minutes: float = arguments.budget_minutes or _DEFAULT_MINUTES
    if arguments.budget_minutes is not None and not 1.0 <= arguments.budget_minutes <= 100_000.0:
        raise UserError("--budget-minutes must be 1 to 100000")
    return minutes


def _limits(arguments: argparse.Namespace) -> dict[str, float]:
    given = {figure: getattr(arguments, name) for name, figure in _LIMITS.items()}
    limits = {figure: limit for figure, limit in given.items() if limit is not None}
    for figure, limit in limits.items():
        if not 0 < limit < float("inf"):
            raise UserError(f"--max-{figure.replace('_', '-')} must be above 0")
    return limits


def _digest(root: Path, data: Path | None, about: Any) -> str:
    """What decides a study beside the code: if it differs, the study begins anew."""
    from pipeline.digests import DigestMemory

    folder = "" if data is None else DigestMemory(root / ".memory").folder_digest(data)
    return hashlib.sha256(json.dumps([folder, about]).encode()).hexdigest()
