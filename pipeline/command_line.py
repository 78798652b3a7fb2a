"""What the pipeline's command line takes, and the help that teaches it.

A command is a module of `pipeline.commands` that holds

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

from pipeline.commands import (
    compile,
    diff,
    explain,
    export,
    gc,
    lineage,
    lint,
    parameters,
    run,
    runs,
    schedule,
    sensitivity,
    show,
    tune,
    ui,
)

COMMANDS: tuple[ModuleType, ...] = (
    run,
    explain,
    tune,
    schedule,
    compile,
    parameters,
    runs,
    show,
    diff,
    lineage,
    gc,
    lint,
    sensitivity,
    export,
    ui,
)

_DESCRIPTION = """\
Turns recordings or sensor logs into a proven, signed model: runs recipes and looks after what they made."""

_EPILOG = """\
examples:
  python -m pipeline run keyword_spotting --data DIR --root var
  python -m pipeline explain keyword_spotting --data DIR --root var
  python -m pipeline parameters keyword_spotting
  python -m pipeline lineage var/latest.bundle
  python -m pipeline ui --root var
  python -m pipeline lint MODEL.tflite --target tflm

`python -m pipeline COMMAND --help` says more about each.
Exit codes: 0 done, 1 error, 2 wrong usage, 3 refused by a gate, 130 interrupted."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command that `argv` names.

    ``arguments.run`` does it. What stands after ``--`` is in ``arguments.beam_options``. Prints the
    help or what is wrong, and exits, if there is nothing to do.
    """
    flags.FLAGS(argv[:1])
    words = list(argv[1:])
    split = words.index("--") if "--" in words else len(words)
    parser = _parser()
    arguments: argparse.Namespace = parser.parse_args(words[:split])
    beam_options = tuple(words[split + 1 :])
    if beam_options and not arguments.takes_beam_options:
        parser.error("options after -- are for Beam, and this command runs no Beam pipeline")
    arguments.beam_options = beam_options
    return arguments


def _parser() -> argparse_flags.ArgumentParser:
    parser = argparse_flags.ArgumentParser(
        prog="python -m pipeline", description=_DESCRIPTION, epilog=_EPILOG, **_FORM
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
        command.set_defaults(run=module.run, takes_beam_options=False)
        module.add_arguments(command)
    return parser


_FORM: dict[str, Any] = {
    "formatter_class": argparse.RawDescriptionHelpFormatter,
    "allow_abbrev": False,
    "inherited_absl_flags": None,
}
