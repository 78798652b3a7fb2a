"""``parameters RECIPE``: what can be set, and to what it is set."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from pipeline.commands.recipe_arguments import add_recipe, data_folder, make_recipe

NAME = "parameters"
SUMMARY = "list the steps of a recipe and their parameters"
DESCRIPTION = """\
Lists the steps of a recipe and their parameters, each in the form that --set takes."""
EXAMPLES = """\
  python -m pipeline parameters keyword_spotting
  python -m pipeline parameters keyword_spotting --keywords "yes no" """


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    add_recipe(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints them."""
    recipe = make_recipe(arguments, Path(arguments.root), data_folder(arguments))
    for component in recipe.components:
        print(f"{component.id}: {(type(component).__doc__ or '').splitlines()[0]}")
        for field in dataclasses.fields(component.parameters):
            value = getattr(component.parameters, field.name)
            print(f"    {component.id}.{field.name}={_shown(value)}")
    return 0


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
