"""``python -m fleet rollout``: releases on their way to devices."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.commands.fleet_arguments import (
    FORM,
    add_root,
    add_store,
    add_tenant,
    open_database,
    open_objects,
    read,
    tell,
    who,
    writing,
)

if TYPE_CHECKING:
    from fleet.control.preparation import Preparation
    from fleet.control.standing import Standings
    from fleet.rollout.plan import Plan

NAME = "rollout"
SUMMARY = (
    "bring a release to devices: create, start, follow, status, pause, resume, abort, rollback"
)
DESCRIPTION = """\
A rollout has a canary first, then waves. It halts by itself when errors and silent devices pass the
threshold, or when devices' telemetry shows that those with the release do worse than those without, and
touches no more devices than have proven the release before. create prints its number;
nothing happens before start, which sorts the devices into groups (interrupted, it is called again). rollback
brings the devices that it touched to another release. follow is for
programs, such as a pipeline's schedule: it creates and starts a rollout of the newest release that a Pusher
put into the tenant's repository, and does nothing where that has a rollout already."""
EXAMPLES = """\
  python -m fleet rollout create --root var keyword_spotting==1.0.3
      a canary of 1%, then waves up to 10% and 100%
  python -m fleet rollout create --root var pump==1.0.3 --canary-devices lab-1 lab-2 --waves 5 25 100
  python -m fleet rollout create --root var pump==1.0.3 --bake 12 --slices hardware firmware
      each group works for 12 hours before the next begins; kinds of hardware are compared by themselves
  python -m fleet rollout create --root var pump==1.0.3 --waves x4 --not-before 2026-12-01T22:00
      a canary of 1%, then waves up to 4%, 16%, 64% and 100%, from that evening on
  python -m fleet rollout create --root var pump==1.0.3 --plan plan.json
  python -m fleet rollout start --root var 7
  python -m fleet rollout follow --root var keyword_spotting --canary 5 --bake 12
  python -m fleet rollout status --root var 7 --json
  python -m fleet rollout pause --root var 7 --reason "complaints from the field"
  python -m fleet rollout rollback --root var 7 --to keyword_spotting==1.0.2 --group canary

Exit code 3 of status: the rollout is halted, or was aborted."""

_DUE = 3
_TELL_S = 5.0
_TURN_S = 0.15  # a server that waits to write looks every 0.1 s whether it may
_DOING = {
    "withdraw": "withdrawing what nobody was shown: {:,} devices so far",
    "dismiss": "taking back what a start that was interrupted left",
    "sort": "sorting devices into groups: {:,} so far",
    "supersede": "superseding earlier rollouts: {:,} devices so far",
}
_WAVES = (10.0, 100.0)
_STEPS = {
    "start": "begin with the first group",
    "status": "how it stands",
    "pause": "touch no further device",
    "resume": "go on after a pause or a halt",
    "abort": "give it up, and ask devices at work to cancel",
    "rollback": "bring the devices that it touched to another release",
}


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="plan it", **FORM)
    create.add_argument("release", metavar="NAME==VERSION")
    follow = actions.add_parser("follow", help="create and start one of the newest release", **FORM)
    follow.add_argument("release", metavar="NAME")
    add_store(follow)
    for each in (create, follow):
        _add_plan(each)
    steps = {name: actions.add_parser(name, help=text, **FORM) for name, text in _STEPS.items()}
    for step in steps.values():
        step.add_argument("rollout", type=int, metavar="ID")
    for name in ("pause", "abort"):
        steps[name].add_argument("--reason", default="", help="for the audit log")
    steps["rollback"].add_argument("--to", required=True, metavar="NAME==VERSION")
    steps["rollback"].add_argument("--group", metavar="NAME", help="devices of this group alone")
    for each in (create, follow, *steps.values(), actions.add_parser("list", help="all", **FORM)):
        add_root(each)
        add_tenant(each)


def _add_plan(create: Any) -> None:
    create.add_argument("--name", default="", help="what people call it")
    create.add_argument("--plan", type=Path, metavar="JSON", help="all of it, instead of these:")
    create.add_argument("--canary", type=float, default=1.0, metavar="PERCENT", help="default: 1")
    create.add_argument("--canary-devices", nargs="+", default=(), metavar="ID")
    create.add_argument(
        "--waves", nargs="+", metavar="PERCENT",
        help="share of all devices that is reached after each (default: 10 100, those above the canary); "
        "x4: four times as many after each",
    )  # fmt: skip
    create.add_argument(
        "--match", default="", metavar="FILTER",
        help="only devices such as these: 'hardware=pi-4 region=eu-*'",
    )  # fmt: skip
    create.add_argument(
        "--success", type=float, default=0.9, metavar="SHARE",
        help="of a group that must succeed before the next begins (default: 0.9)",
    )  # fmt: skip
    create.add_argument(
        "--error", type=float, default=0.1, metavar="SHARE",
        help="of failures and silent devices above which it halts (default: 0.1)",
    )  # fmt: skip
    create.add_argument(
        "--sample", type=int, default=10, metavar="N",
        help="devices that must have decided before a group can be done (default: 10)",
    )  # fmt: skip
    create.add_argument(
        "--exposure", type=int, default=50, metavar="N",
        help="most devices that are touched and have not succeeded yet (default: 50)",
    )  # fmt: skip
    create.add_argument(
        "--bake", type=float, default=0.0, metavar="HOURS",
        help="least time from group to group, for telemetry to come (default: 0)",
    )  # fmt: skip
    create.add_argument(
        "--metrics", nargs="*", metavar="NAME",
        help="what telemetry is compared by; none turns that off (default: all)",
    )  # fmt: skip
    create.add_argument(
        "--slices", nargs="+", default=(), metavar="ATTRIBUTE",
        help="compare also among devices alike in these, such as hardware",
    )  # fmt: skip
    create.add_argument(
        "--time-out", type=float, default=21_600.0, metavar="S",
        help="a device that is silent for so long counts as failed (default: 6 hours)",
    )  # fmt: skip
    for name, text in (("before", "touch no device before it"), ("after", "nor any after it")):
        create.add_argument(
            f"--not-{name}", type=_moment, metavar="TIME",
            help=f"{text}, such as 2026-12-01T22:00 (this machine's time) or 2026-12-01T22:00+01:00",
        )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Does what is asked of the rollout; prints how it stands."""
    from fleet.control import rollouts, tenants

    if arguments.action == "list":
        found = read(arguments, lambda c: rollouts.listing(c, tenants.find(c, arguments.tenant).id))
        text = "\n".join(f"{r['id']:>5}  {r['state']:<9} {r['name']}  {r['reason']}" for r in found)
        tell(
            arguments,
            {"rollouts": found},
            text or "no rollouts yet: `fleet rollout create` makes one",
        )
        return 0
    if arguments.action == "status":
        status = read(
            arguments,
            lambda c: rollouts.status(c, tenants.find(c, arguments.tenant).id, arguments.rollout),
        )
    elif arguments.action == "follow":
        status = _follow(arguments)
    else:
        status = _STEP.get(arguments.action, _change)(arguments)
    text = _text(status)
    if arguments.action == "create":
        text += f"\nnext: python -m fleet rollout start --root {arguments.root} {status['id']}"
    tell(arguments, status, text)
    due = arguments.action == "status" and status["state"] in ("halted", "aborted")
    return _DUE if due else 0


def _moment(text: str) -> float:
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r}: give a time such as 2026-12-01T22:00"
        ) from None


def _start(arguments: argparse.Namespace) -> dict[str, Any]:
    return _begin(arguments, arguments.rollout)


def _begin(arguments: argparse.Namespace, id_: int) -> dict[str, Any]:
    from fleet.control import preparation, rollouts, tenants

    reached = _prepare(arguments, preparation.prepare_start, id_)
    with writing(arguments) as standings:
        tenant = tenants.find(standings.connection, arguments.tenant).id
        rollouts.start(standings, tenant, who(), id_, reached)
        return rollouts.status(standings.connection, tenant, id_)


def _resume(arguments: argparse.Namespace) -> dict[str, Any]:
    from fleet.control import preparation, rollouts, tenants

    reached = _prepare(arguments, preparation.prepare_resume, arguments.rollout)
    with writing(arguments) as standings:
        tenant = tenants.find(standings.connection, arguments.tenant).id
        rollouts.resume(standings, tenant, who(), arguments.rollout, reached)
        return rollouts.status(standings.connection, tenant, arguments.rollout)


def _roll_back(arguments: argparse.Namespace) -> dict[str, Any]:
    from fleet.control import releases, rollouts, tenants

    with writing(arguments) as standings:
        connection = standings.connection
        tenant = tenants.find(connection, arguments.tenant).id
        name, _, version = arguments.to.partition("==")
        row = releases.find(connection, tenant, name, version)
        back = rollouts.roll_back(standings, tenant, who(), arguments.rollout, row, arguments.group)
    return _begin(arguments, back)


def _prepare(
    arguments: argparse.Namespace,
    prepare: Callable[[Standings, int, str, int, Preparation], Preparation],
    id_: int,
) -> Preparation:
    """Does most of what that takes, in pieces, and tells how far it is where that takes long."""
    from fleet.control import tenants
    from fleet.control.preparation import Preparation, Stage
    from fleet.control.standing import Standings

    database, reached = open_database(arguments), Preparation()
    told = time.monotonic()
    try:
        while True:
            with database.write() as connection:
                tenant = tenants.find(connection, arguments.tenant).id
                standings = Standings(connection, time.time())
                before = reached
                reached = prepare(standings, tenant, who(), id_, before)
                standings.settle()
            if reached.stage is Stage.DONE:
                return reached
            if time.monotonic() > told + _TELL_S:
                told = time.monotonic()
                print(
                    _DOING[reached.stage.value].format(reached.devices), file=sys.stderr, flush=True
                )
            if reached.stage is before.stage:
                time.sleep(_TURN_S)
    finally:
        database.close()


def _change(arguments: argparse.Namespace) -> dict[str, Any]:
    from fleet.control import releases, rollouts, tenants

    with writing(arguments) as standings:
        connection = standings.connection
        tenant = tenants.find(connection, arguments.tenant).id

        match arguments.action:
            case "create":
                name, _, version = arguments.release.partition("==")
                row, plan = releases.find(connection, tenant, name, version), _plan(arguments)
                id_ = rollouts.create(standings, tenant, who(), row, plan, arguments.name)
            case "pause":
                given = (tenant, who(), arguments.rollout, arguments.reason)
                id_ = rollouts.pause(standings, *given).id
            case _:
                given = (tenant, who(), arguments.rollout, arguments.reason)
                id_ = rollouts.abort(standings, *given).id
        standings.settle()
        return rollouts.status(connection, tenant, id_)


def _follow(arguments: argparse.Namespace) -> dict[str, Any]:
    from fleet.control import releases, rollouts, tenants
    from fleet.control.preparation import Preparation, prepare_start
    from fleet.repository import Repository

    root, plan, objects = arguments.root.absolute(), _plan(arguments), open_objects(arguments)
    tenant = read(arguments, lambda c: tenants.find(c, arguments.tenant))
    newest = releases.newest(root, tenant.name, arguments.release)
    repository = Repository(releases.repository_folder(root, tenant.name))
    releases.upload(objects, repository.bundle_path(newest))
    with writing(arguments) as standings:
        given = (standings.connection, standings.now, tenant, who(), root)
        row = releases.register_bundle(*given, newest, objects)
        id_ = rollouts.latest_of(standings.connection, row.id)
        if id_ is None:
            id_ = rollouts.create(standings, tenant.id, who(), row, plan, arguments.name)
            # With it, so that nothing is left where it is refused at once, and a start that is
            # interrupted is told from a rollout that a person has yet to start.
            prepare_start(standings, tenant.id, who(), id_, Preparation())
        else:
            status = rollouts.status(standings.connection, tenant.id, id_)
            if status["state"] != "ready" or not status["reason"]:  # no start is under way
                return status | {"new": False}
    return _begin(arguments, id_) | {"new": True}


def _plan(arguments: argparse.Namespace) -> Plan:
    from fleet.rollout.errors import PlanError
    from fleet.rollout.plan import Group, Plan, decode, parse_shares, waves
    from fleet.rollout.quality import METRICS, Quality

    if arguments.plan is not None:
        try:
            return decode(json.loads(arguments.plan.read_text()))
        except OSError as e:
            raise PlanError(f"--plan {arguments.plan}: cannot be read: {e.strerror}") from e
        except (ValueError, PlanError) as e:
            raise PlanError(f"{arguments.plan}: {e}") from e
    canary = Group(
        name="canary",
        devices=tuple(arguments.canary_devices),
        percent=0.0 if arguments.canary_devices else arguments.canary,
        success_threshold=arguments.success,
        error_threshold=arguments.error,
        minimum_sample=arguments.sample,
        exposure=arguments.exposure,
        bake_s=3600 * arguments.bake,
    )
    shares: Sequence[float] = [share for share in _WAVES if share > canary.percent]
    if arguments.waves is not None:
        shares = parse_shares(arguments.waves, canary.percent)
    metrics = METRICS if arguments.metrics is None else arguments.metrics
    return Plan(
        groups=waves(canary, shares),
        target=arguments.match,
        time_out_s=arguments.time_out,
        not_before=0.0 if arguments.not_before is None else arguments.not_before,
        not_after=arguments.not_after,
        quality=Quality(metrics=tuple(metrics), slices=tuple(arguments.slices)),
    )


def _text(status: dict[str, Any]) -> str:
    release = status["release"]
    lines = [
        f"rollout {status['id']} of {release['name']} {release['version']}: {status['state']}"
        + (f": {status['reason']}" if status["reason"] else "")
    ]
    head = ("group", "state", "devices", "touched", "success", "error", "timed out", "canceled")
    lines.append("{:<12} {:<8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}".format(*head))
    names = ("name", "state", "devices", "touched", "success", "error", "timed_out", "canceled")
    for group in status["groups"]:
        values = [group[name] for name in names]
        lines.append("{:<12} {:<8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8}".format(*values))
    for bet in status["quality"]:
        where = f" ({bet['slice']})" if bet["slice"] else ""
        lines.append(
            f"{bet['metric']}{where} {bet['direction']}: {bet['times']:.3g} times, in {bet['worse']} of "
            f"{bet['pairs']} pairs; evidence {bet['evidence']:.3g} of {bet['limit']:.3g}"
        )
    return "\n".join(lines)


_STEP: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "start": _start,
    "resume": _resume,
    "rollback": _roll_back,
}
