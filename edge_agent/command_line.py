"""What the agent's command line takes, and the help that teaches it.

A command is a module of `edge_agent.commands` that holds

    NAME, SUMMARY, DESCRIPTION, EXAMPLES    texts of the help
    add_arguments(parser)                   declares its arguments
    run(arguments) -> int                   does it; gives the exit code

and imports what it needs only inside `run`, so that a small device starts every command quickly.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from absl import flags
from absl.flags import argparse_flags

from edge_agent.commands import (
    adaptations,
    bench,
    classify,
    config,
    enroll,
    evaluate,
    install,
    replay,
    reset,
    revert,
    run,
    score,
    selftest,
    spot,
    status,
    tuf,
    update_once,
)

COMMANDS: tuple[ModuleType, ...] = (
    run,
    config,
    evaluate,
    spot,
    score,
    replay,
    classify,
    enroll,
    adaptations,
    revert,
    bench,
    selftest,
    install,
    update_once,
    status,
    reset,
    tuf,
)

_DESCRIPTION = """\
Runs bundles on this device: installs them, tests them, spots words with them, watches rows of sensor
values for anomalies, and says what pictures show; `run` does all but the last, unattended."""

_EPILOG = """\
examples:
  python -m edge_agent install --repository https://example.org/repository \\
      --trusted-root root.json --root /var/lib/edge-agent keyword_spotting
  python -m edge_agent run --config agent.toml
  python -m edge_agent update-once --config agent.toml
  python -m edge_agent status --config agent.toml
  python -m edge_agent selftest --bundle latest.bundle
  python -m edge_agent spot --bundle latest.bundle recording.wav
  arecord -q -t raw -f S16_LE -r 16000 | python -m edge_agent spot --bundle latest.bundle - --json
  python -m edge_agent score --bundle pump.bundle --csv pump.csv
  python -m edge_agent classify --bundle digits.bundle seven.png
  python -m edge_agent bench latest.bundle
  python -m edge_agent enroll lamp lamp-*.wav --config agent.toml
  python -m edge_agent evaluate --bundle latest.bundle --data recordings --list recordings/test.txt

`python -m edge_agent COMMAND --help` says more about each.
Exit codes: 0 done, 1 an error that the message explains, 2 a wrong command line, 130 interrupted."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command that `argv` names; ``arguments.run`` does it.

    Prints the help or what is wrong, and exits, if there is nothing to run.
    """
    flags.FLAGS(argv[:1])
    arguments: argparse.Namespace = _parser().parse_args(argv[1:])
    return arguments


def _parser() -> argparse_flags.ArgumentParser:
    parser = argparse_flags.ArgumentParser(
        prog="python -m edge_agent", description=_DESCRIPTION, epilog=_EPILOG, **_FORM
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in COMMANDS:
        command = commands.add_parser(
            module.NAME,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=f"examples:\n{module.EXAMPLES}" if module.EXAMPLES else None,
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
