"""``schedule RECIPE``: runs a recipe by the clock, or when there is new data, and tells how it went."""

from __future__ import annotations

import argparse
import datetime
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base import UserError
from pipeline.commands import run as run_command
from pipeline.commands.handed_on import Arguments
from pipeline.commands.recipe_arguments import data_folder, make_recipe
from pipeline.commands.store_arguments import open_store

if TYPE_CHECKING:
    from pipeline.schedule.fires import Plan
    from pipeline.schedule.ledger import Ledger

NAME = "schedule"
SUMMARY = "run a recipe by the clock, as a foreground service"
DESCRIPTION = """\
Runs a recipe whenever a cron expression says, each run a process of its own, until Ctrl-C or SIGTERM.
Takes every option of `run` and hands it on. The schedule is kept in ROOT/RECIPE/schedule/: after a
restart it goes on where it was. docs/schedule.md says what happens to runs that are missed, late or in
each other's way, what hooks are told, and how systemd starts it."""
EXAMPLES = """\
  python -m pipeline schedule keyword_spotting --data DIR --cron "0 3 * * *" --timezone Europe/Berlin
      every night at three
  python -m pipeline schedule keyword_spotting --data DIR --cron "*/15 * * * *" --when-new-data
      look every quarter of an hour; run if recordings arrived and have been quiet for a while
  python -m pipeline schedule keyword_spotting --data DIR --cron "0 3 * * mon-fri" \\
      --on-success "rsync -a var/repository/ web:/srv/models/" --on-failure https://example.org/hook
      tell others: a command line, or a URL that gets a JSON document
  python -m pipeline schedule keyword_spotting --data DIR --once --when-new-data
      look once, run if there is something new, and exit as the run does: for cron or a systemd timer
  python -m pipeline schedule keyword_spotting --history
      what became of the last runs, also of those that were missed or skipped"""

_STORE = "schedule.db"
_SHOWN = 20


def add_arguments(parser: Any) -> None:
    """Declares the arguments: those of `run`, and the schedule's."""
    parser.set_defaults(handed_on=Arguments(parser, run_command.add_arguments))
    group = parser.add_argument_group("when, and whom to tell")
    when = group.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--cron",
        metavar='"0 3 * * *"',
        help="minute, hour, day of month, month, day of week; six fields begin with the second",
    )
    when.add_argument("--once", action="store_true", help="one run now, and exit as it does")
    when.add_argument(
        "--history", action="store_true", help="list what became of the last runs, and exit"
    )
    group.add_argument(
        "--timezone", metavar="ZONE", help="in which --cron is read (default: the machine's)"
    )
    group.add_argument(
        "--catch-up",
        choices=("once", "none"),
        default="once",
        help="what becomes of runs missed while this was down: one run makes up for all, or none "
        "(default: once)",
    )
    group.add_argument(
        "--when-busy",
        choices=("wait", "skip"),
        default="wait",
        help="what to do if a run started by somebody else is under way at the root (default: wait)",
    )
    group.add_argument(
        "--when-new-data",
        action="store_true",
        help="run only if recordings arrived, changed or went since the last complete run",
    )
    group.add_argument(
        "--settle",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="with --when-new-data: wait until nothing has changed for so long, so that a folder "
        "that is still being copied is not taken (default: 30)",
    )
    for option, what in (
        ("--on-success", "a complete run"),
        ("--on-failure", "a run that failed or was refused by a gate"),
    ):
        group.add_argument(
            option,
            action="append",
            default=[],
            metavar="HOOK",
            help=f"tell of {what}: a command line, or an http(s) URL; may be given often",
        )


def run(arguments: argparse.Namespace) -> int:
    """Serves until a signal; with --once, the exit code of the run."""
    from pipeline.root_lock import RootBusy, hold
    from pipeline.schedule.ledger import Ledger

    folder = Path(arguments.root).absolute() / arguments.recipe / "schedule"
    if arguments.history:
        return _show_history(arguments, folder / _STORE)
    plan = _plan(arguments)
    _check(arguments)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with hold(folder):
            ledger = Ledger(folder / _STORE)
            try:
                return _serve(arguments, plan, ledger)
            finally:
                ledger.close()
    except RootBusy as e:
        raise UserError(
            f"{folder}: another schedule of {plan.recipe} is at work there: end it first, or choose "
            "another --root"
        ) from e


def _serve(arguments: argparse.Namespace, plan: Plan, ledger: Ledger) -> int:
    from pipeline.schedule.cron import trigger, zone
    from pipeline.schedule.fires import Fires
    from pipeline.schedule.run_process import Runs
    from pipeline.schedule.service import Service, until_signal

    timezone = zone(arguments.timezone)
    log = functools.partial(_log, timezone)
    runs = Runs()
    fires = Fires(plan, ledger, runs, functools.partial(_newest_run, arguments), log)
    if arguments.once:
        ledger.end_cut_off()
        return until_signal(fires, runs.end)
    service = Service(
        recipe=plan.recipe,
        timing=f"{arguments.cron} {timezone}",
        trigger=trigger(arguments.cron, timezone),
        catch_up=arguments.catch_up,
        ledger=ledger,
        fire=fires,
        log=log,
    )

    def end() -> None:
        log("ending")
        runs.end()
        service.end()

    return until_signal(service.serve, end)


def _show_history(arguments: argparse.Namespace, path: Path) -> int:
    from pipeline.schedule.cron import zone
    from pipeline.schedule.ledger import Ledger

    timezone = zone(arguments.timezone)
    if not path.is_file():
        raise UserError(f"{path}: not there: no schedule of {arguments.recipe} was started here")
    ledger = Ledger(path)
    try:
        for fire in ledger.recent(_SHOWN):
            started = fire.started.replace(tzinfo=datetime.UTC).astimezone(timezone)
            run = "" if fire.run is None else f"run {fire.run}"
            line = f"{_text(started)}  {fire.state:<11}  {run:<8}  {fire.reason}"
            print(line.rstrip())
    finally:
        ledger.close()
    return 0


def _newest_run(arguments: argparse.Namespace) -> int:
    store = open_store(arguments)
    try:
        return store.newest_run(arguments.recipe)
    finally:
        store.close()


def _plan(arguments: argparse.Namespace) -> Plan:
    from pipeline.schedule.fires import Plan
    from pipeline.schedule.hooks import hook

    data = data_folder(arguments)
    if arguments.when_new_data and data is None:
        raise UserError("--when-new-data looks at recordings: give their folder with --data")
    return Plan(
        recipe=arguments.recipe,
        root=Path(arguments.root).absolute(),
        words=arguments.handed_on.words(arguments),
        data=data,
        new_data_only=arguments.when_new_data,
        settle=arguments.settle,
        busy=arguments.when_busy,
        on_success=tuple(hook("--on-success", text) for text in arguments.on_success),
        on_failure=tuple(hook("--on-failure", text) for text in arguments.on_failure),
    )


def _check(arguments: argparse.Namespace) -> None:
    """Raises now what would otherwise be found out in the night."""
    from pipeline.lineage.database import parse_url
    from pipeline.schedule.cron import trigger, zone

    if arguments.lineage is not None:
        parse_url(arguments.lineage)
    timezone = zone(arguments.timezone)
    if arguments.cron is not None:
        trigger(arguments.cron, timezone)
    make_recipe(arguments, Path(arguments.root), data_folder(arguments))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return value


def _log(timezone: datetime.tzinfo, text: str) -> None:
    print(f"{_text(datetime.datetime.now(timezone))} schedule: {text}", flush=True)


def _text(moment: datetime.datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
