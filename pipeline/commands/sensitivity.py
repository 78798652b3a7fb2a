"""``sensitivity RUN``: which layers of a network cost the accuracy when they are rounded."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.base import UserError
from pipeline.commands.recipe_arguments import add_root
from pipeline.commands.store_arguments import add_json, open_recorded

NAME = "sensitivity"
SUMMARY = "say which layers cost the accuracy when they are rounded"
DESCRIPTION = """\
Rounds one layer of a run's float network after another, the others left as they are, and says on the
validation clips how far the outputs move and how much accuracy that costs; the worst first. Name those
that cost too much in Quantizer.whole, and the Quantizer leaves them at int8 where it gives the others
fewer values. RUN is a number that `runs` lists, or `latest`."""
EXAMPLES = """\
  python -m pipeline sensitivity latest
  python -m pipeline sensitivity 12 --of Trainer --bits 4,2 --json
  python -m pipeline run keyword_spotting --data DIR --set Quantizer.method=ternary \\
      --set Quantizer.whole=conv2d_3"""

_LIMIT_S = 3600


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument("number", metavar="RUN", help="its number, or latest")
    parser.add_argument(
        "--of",
        default="Distiller",
        metavar="COMPONENT",
        help="whose model is meant: a float one (default: %(default)s)",
    )
    parser.add_argument(
        "--bits",
        default="8,4,2",
        metavar="BITS",
        help="bits that weights are rounded to, 2 to 16, with commas (default: %(default)s)",
    )
    add_root(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the sweep."""
    from components.infra_validator.child_process import Failed, run_child
    from pipeline.lineage import history

    bits = _bits(arguments.bits)
    store = open_recorded(arguments)
    try:
        with store.read() as session:
            shown = history.run(session, arguments.number)
    finally:
        store.close()
    model = _folder(shown, arguments.of, "model", arguments.root) / "model.h5"
    features = _folder(shown, "Transform", "features", arguments.root)
    given = [str(model), str(features), bits]
    done = run_child("components.quantizer.sensitivity", given, _LIMIT_S)
    if isinstance(done, Failed):
        raise UserError(f"{model}: cannot be swept: {done.reason}: name a float model by --of")
    swept = json.loads(done.stdout.splitlines()[-1])
    if arguments.json:
        print(json.dumps(swept, indent=1))
    else:
        _show(swept)
    return 0


def _bits(text: str) -> str:
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isdigit() and 2 <= int(number) <= 16 for number in numbers):
        raise UserError(f"--bits {text}: give numbers of 2 to 16 with commas, as in 8,4,2")
    return ",".join(numbers)


def _folder(shown: Mapping[str, Any], component: str, output: str, root: str) -> Path:
    """The folder of an output of the run `shown`."""
    for execution in shown["executions"]:
        artifact = execution["outputs"].get(output)
        if execution["component"] == component and artifact is not None:
            if artifact["removed"]:
                raise UserError(
                    f"{component}.{output} of run {shown['run']} was removed: run again"
                )
            return Path(root).absolute() / artifact["folder"]
    known = [e["component"] for e in shown["executions"] if output in e["outputs"]]
    raise UserError(
        f"run {shown['run']} has no {component} with a {output}; there are {', '.join(known)}"
    )


def _show(swept: Mapping[str, Any]) -> None:
    from rich.console import Console

    from pipeline.ui.sensitivity_view import sensitivity_table

    Console(highlight=False).print(sensitivity_table(swept))
