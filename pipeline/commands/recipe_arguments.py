"""The arguments that say which recipe is meant, on which data, with which parameters."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from components.base import UserError
from pipeline.commands.base_model import base_model
from pipeline.commands.settings_file import SettingsFile
from pipeline.recipes.catalogue import RECIPES, find
from pipeline.settings.reading import shipped

if TYPE_CHECKING:
    from pipeline.recipe import Recipe

_LINEAGE_VARIABLE = "EDGE_LINEAGE_URL"
_DEFAULT_KEYWORDS = "yes no stop go"


def add_recipe(parser: Any) -> None:
    """Declares RECIPE, --data, --keywords, --root, --seed, --set and --settings."""
    parser.add_argument(
        "recipe",
        choices=sorted(RECIPES),
        metavar="RECIPE",
        help=f"one of: {', '.join(sorted(RECIPES))}",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder of recordings, one sub-folder a word; of CSV files for anomaly_detection; of "
        "pictures, one sub-folder a label, for image_classification",
    )
    parser.add_argument(
        "--format",
        metavar="csv|nab|wav|mat",
        help="for anomaly_detection: what the logs in --data are (default: csv)",
    )
    parser.add_argument(
        "--keywords",
        metavar='"yes no"',
        help="words to learn from synthesised speech, separated by spaces, instead of --data "
        f"(default: {_DEFAULT_KEYWORDS})",
    )
    parser.add_argument(
        "--base",
        metavar="DIR",
        help="for word_transfer: the model that learns, the folder of a Model artifact or a root at which "
        "keyword_spotting has run (default: --root)",
    )
    add_root(parser)
    parser.add_argument(
        "--seed", type=int, metavar="N", help="seed of every step that has one; --set can differ"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="Component.parameter=value",
        help="change a parameter of a step; may be given often",
    )
    parser.add_argument(
        "--settings",
        action=SettingsFile,
        dest="set",
        metavar="FILE",
        help="change those in a TOML file: a table a step ([Trainer]), a key a parameter (epochs = 40); "
        "of two for one parameter the later wins, --set or file. These come along, by their names: "
        + ", ".join(shipped()),
    )


def add_root(parser: Any) -> None:
    """Declares --root and --lineage."""
    parser.add_argument(
        "--root",
        default="var",
        metavar="DIR",
        help="folder that everything is written below (default: var)",
    )
    parser.add_argument(
        "--lineage",
        default=os.environ.get(_LINEAGE_VARIABLE) or None,
        metavar="URL",
        help="database of the lineage, e.g. postgresql://user@host/name "
        f"(default: ${_LINEAGE_VARIABLE}, or else ROOT/lineage.db)",
    )


def data_folder(arguments: argparse.Namespace) -> Path | None:
    """The folder of recordings; None to synthesise."""
    if arguments.data is None:
        return None
    if arguments.keywords is not None:
        raise UserError("give --data or --keywords, not both")
    data = Path(arguments.data).absolute()
    if not data.is_dir():
        raise UserError(
            f"{arguments.data}: no such folder: --data names a folder with one sub-folder of "
            "recordings a word, or of pictures a label, or with logs of machines"
        )
    return data


def keywords_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The words to synthesise where there is no folder."""
    return tuple((arguments.keywords or _DEFAULT_KEYWORDS).lower().split())


def make_recipe(arguments: argparse.Namespace, root: Path, data: Path | None) -> Recipe:
    """The recipe that is meant, with its parameters set.

    Raises:
        UserError: for an unknown component or parameter, a wrong value, or a method that does not
            fit the architecture.
    """
    from pipeline.recipe import apply_settings, demand_fit, give_beam_options, seed_settings

    module = find(arguments.recipe)
    goes_on = hasattr(module, "BASE_RECIPE")
    if arguments.base is not None and not goes_on:
        raise UserError(f"--base: {arguments.recipe} starts from nothing: leave it out")
    base = {"base": base_model(arguments, module)} if goes_on else {}
    recipe: Recipe = module.recipe(
        root, data, keywords_of(arguments), **base, **_format(arguments, module)
    )
    if arguments.seed is not None:
        apply_settings(recipe, seed_settings(recipe, arguments.seed))
    apply_settings(recipe, arguments.set)
    demand_fit(recipe)
    if arguments.beam_options:
        give_beam_options(recipe, arguments.beam_options)
    return recipe


def _format(arguments: argparse.Namespace, module: ModuleType) -> dict[str, str]:
    """The format of the data, where it was given and the recipe knows several."""
    if arguments.format is None:
        return {}
    known = getattr(module, "FORMATS", ())
    if not known:
        raise UserError(f"--format: {arguments.recipe} knows one kind of data: leave it out")
    if arguments.format not in known:
        raise UserError(f"--format {arguments.format}: take one of {', '.join(known)}")
    return {"format": arguments.format}
