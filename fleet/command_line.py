"""What the fleet's command line takes, and the help that teaches it.

A command is a module of `fleet.commands` that holds

    NAME, SUMMARY, DESCRIPTION, EXAMPLES    texts of the help
    add_arguments(parser)                   declares its arguments
    run(arguments) -> int                   does it; gives the exit code

and imports what it needs only inside `run`, so that every command starts quickly.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from absl import flags
from absl.flags import argparse_flags

from fleet.commands import (
    audit,
    backup,
    device,
    init,
    keys,
    release,
    repository,
    restore,
    rollout,
    serve,
    simulate,
    tenant,
)

COMMANDS: tuple[ModuleType, ...] = (
    init, serve, release, rollout, device, tenant, audit, simulate, keys, repository, backup,
    restore,
)  # fmt: skip

_DESCRIPTION = """\
Brings releases to a fleet of devices, and looks after the update repository that they come from."""

_EPILOG = """\
examples:
  python -m fleet init --root var
  python -m fleet serve --root var
  python -m fleet release add --root var var/latest.bundle
  python -m fleet rollout create --root var keyword_spotting==1.0.0
  python -m fleet rollout start --root var 1

`python -m fleet COMMAND --help` says more about each.
Exit codes: 0 done, 1 an error that the message explains, 2 a wrong command line, 3 something is due."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command that `argv` names; ``arguments.run`` does it.

    Prints the help or what is wrong, and exits, if there is nothing to run.
    """
    flags.FLAGS(argv[:1])
    arguments: argparse.Namespace = make_parser().parse_args(argv[1:])
    return arguments


def make_parser() -> argparse_flags.ArgumentParser:
    """What reads the command line."""
    parser = argparse_flags.ArgumentParser(
        prog="python -m fleet", description=_DESCRIPTION, epilog=_EPILOG, **_FORM
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = commands.add_parser(
            module.NAME,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=f"examples:\n{module.EXAMPLES}",
            **_FORM,
        )
        command.set_defaults(run=module.run)
        module.add_arguments(command)
    return parser


_FORM: dict[str, Any] = {
    "formatter_class": argparse.RawDescriptionHelpFormatter,
    "allow_abbrev": False,
    "inherited_absl_flags": None,
}
