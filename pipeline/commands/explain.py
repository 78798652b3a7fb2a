"""``explain RECIPE``: what a run would do, and why."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base import UserError
from pipeline.commands.recipe_arguments import add_recipe, data_folder, make_recipe
from pipeline.commands.store_arguments import open_store

if TYPE_CHECKING:
    from pipeline.explanation import StepExplanation

NAME = "explain"
SUMMARY = "say which steps a run would take from the cache, and why others would run"
DESCRIPTION = """\
Says for each step of a recipe whether a run with the same arguments would take it from the cache, or
which part of its key has changed since it last ran: a parameter, an input, the code of a module, the
version of a package. Nothing is run."""
EXAMPLES = """\
  python -m pipeline explain keyword_spotting --data DIR --root var
  python -m pipeline explain keyword_spotting --data DIR --set Evaluator.drop_limit=0.02
  python -m pipeline explain keyword_spotting --data DIR --json
      {"steps": [{"name": "Trainer", "hit": false, "changed": ["parameters.epochs: 12 -> 40"]}, ...]}"""


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    add_recipe(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Explains the recipe."""
    from pipeline.explanation import explain

    root = Path(arguments.root).absolute()
    recipe = make_recipe(arguments, root, data_folder(arguments))
    if not root.is_dir():
        raise UserError(f"{arguments.root}: no such folder: --root names one that runs wrote below")
    with contextlib.closing(open_store(arguments)) as store:
        steps = explain(recipe, root, store)
    if arguments.json:
        print(json.dumps({"steps": [dataclasses.asdict(step) for step in steps]}, indent=2))
    else:
        _show(steps)
    return 0


def _show(steps: list[StepExplanation]) -> None:
    width = max(len(step.name) for step in steps)
    for step in steps:
        print(f"{step.name:<{width}}  {'hit' if step.hit else 'runs'}")
        for line in step.changed:
            print(f"{'':<{width}}    {line}")
    runs = sum(not step.hit for step in steps)
    print(f"{runs} of {len(steps)} steps would run." if runs else "Nothing would run.")
