"""``compile RECIPE``: a Kubeflow Pipelines specification of a recipe."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

from components.base import UserError
from pipeline.commands.recipe_arguments import add_recipe, data_folder, make_recipe

NAME = "compile"
SUMMARY = "write a recipe as a Kubeflow Pipelines specification"
DESCRIPTION = """\
Writes a recipe as a specification that Kubeflow Pipelines 2 runs: a container for each step, wired as the
recipe is, with the parameters that are given here. A folder given by --data or --root is a path in the
containers; --data may also be a URI (s3://, gs://, minio://) that Kubeflow fetches. docs/kubeflow.md says
what the image must hold."""
EXAMPLES = """\
  python -m pipeline compile keyword_spotting --data s3://bucket/recordings --root /mnt/models \\
      --image registry.example.org/pipeline:1.4 --output pipeline.yaml
  python -m pipeline compile keyword_spotting --keywords "yes no" --set Trainer.epochs=40 \\
      --image pipeline:latest --output pipeline.yaml"""

_URI = re.compile(r"[a-z][a-z0-9]*://.+")


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    add_recipe(parser)
    group = parser.add_argument_group("the specification")
    group.add_argument("--output", required=True, metavar="FILE.yaml", help="file to write")
    group.add_argument("--image", required=True, metavar="IMAGE", help="image of the containers")
    group.add_argument(
        "--command",
        default="python -m pipeline.kubeflow.step",
        metavar="COMMAND",
        help="what starts a step in the image (default: python -m pipeline.kubeflow.step)",
    )
    parser.set_defaults(takes_beam_options=True)


def run(arguments: argparse.Namespace) -> int:
    """Writes it."""
    from pipeline.kubeflow.compiler import Target, graph, write

    output = Path(arguments.output)
    if output.suffix != ".yaml":
        raise UserError(f"--output {output}: name a file that ends in .yaml")
    data, imported = _recordings(arguments)
    target = Target(image=arguments.image, command=_command(arguments.command), imported=imported)
    recipe = make_recipe(arguments, Path(arguments.root).absolute(), data)
    write(graph(recipe, target), output)
    print(f"wrote {output}: {len(recipe.components)} steps")
    return 0


def _recordings(arguments: argparse.Namespace) -> tuple[Path | None, dict[Path, str]]:
    """The folder of recordings, and what Kubeflow fetches in its place."""
    if not (arguments.data and _URI.fullmatch(arguments.data)):
        return data_folder(arguments), {}
    if arguments.keywords is not None:
        raise UserError("give --data or --keywords, not both")
    data = Path(arguments.data)
    return data, {data: arguments.data}


def _command(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as e:
        raise UserError(f"--command {text}: cannot be read: {e}") from e
    if not words:
        raise UserError("--command: is empty: give what starts a step in the image")
    return words
