"""``lint MODEL.tflite``: what a target makes of a model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.targets.profile import load_profile, profile_names

if TYPE_CHECKING:
    from components.infra_validator.model_report import ModelReport

NAME = "lint"
SUMMARY = "say whether a .tflite file runs on a target, and what to change"
DESCRIPTION = """\
Holds any .tflite file against a target: operators and their versions, types, ranks, dynamic shapes,
memory. TFLM measures the arena, the target's own runtime is asked to load the model, and Vela compiles
it for Ethos-U; each in a process of its own. For the Edge TPU the verdict is a prediction: give the log
of edgetpu_compiler to hold it against. Exit code 3 if the target refuses the model.
A target is a name or the path of your own profile; docs/targets.md shows how to write one."""
EXAMPLES = """\
  python -m pipeline lint model.tflite --target tflm
  python -m pipeline lint model.tflite --target my-board.toml
  python -m pipeline lint model.tflite --target ethos-u55-128 --json
  edgetpu_compiler -s model.tflite >said.log
  python -m pipeline lint model.tflite --target edgetpu --edgetpu-log said.log"""

_REFUSED = 3


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument("model", metavar="MODEL.tflite", help="the file to look at")
    parser.add_argument(
        "--target",
        required=True,
        metavar="TARGET",
        help=f"one of: {', '.join(profile_names())}; or the path of a profile.toml",
    )
    parser.add_argument(
        "--edgetpu-log", metavar="FILE", help="what edgetpu_compiler said of this model"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Prints the verdict; 3 if the model is refused."""
    from components.infra_validator.model_report import report_on

    profile = load_profile(arguments.target)
    log = None if arguments.edgetpu_log is None else Path(arguments.edgetpu_log)
    report = report_on(Path(arguments.model), profile, log)
    if arguments.json:
        print(json.dumps(report, indent=1))
    else:
        _show(report, arguments.model, profile.title)
    return 0 if report["ok"] else _REFUSED


def _show(report: ModelReport, model: str, title: str) -> None:
    from rich.console import Console

    from pipeline.ui.lint_view import lint_lines

    console = Console(highlight=False)
    for line in lint_lines(report, model, title):
        console.print(line, soft_wrap=True)
