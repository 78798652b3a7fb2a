"""``tune RECIPE``: search the architecture and widths of the network that a recipe trains."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.base import UserError
from components.models.catalogue import ARCHITECTURES
from pipeline.commands.recipe_arguments import add_recipe, data_folder, make_recipe
from pipeline.commands.store_arguments import add_json, open_store

if TYPE_CHECKING:
    from components.tuner.outcome import Finished
    from pipeline.search import Bounds

NAME = "tune"
SUMMARY = "search the architecture and widths of the network that a recipe trains"
DESCRIPTION = """\
Searches architectures and widths for the best trades of accuracy against MACs, arena and bytes (Optuna,
several objectives). It begins with the known architectures. A candidate beyond a limit is not trained, and
one that falls behind another that takes no more is stopped. Interrupt it at any time: the same command goes
on, also with more --trials. What it tries is trained for --epochs only, on one seed: take the front for what
is worth training to its end, and not for its order. Ends with the settings that choose a candidate."""
EXAMPLES = """\
  python -m pipeline tune keyword_spotting --data DIR --root var --trials 40
  python -m pipeline tune keyword_spotting --data DIR --most-bytes 20000 --most-arena-bytes 20480
  python -m pipeline tune keyword_spotting --data DIR --architectures ds_cnn,tc_resnet --minutes 60"""

_TRAINER = "Trainer"
_RESULT = "search.json"


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    add_recipe(parser)
    parser.add_argument(
        "--trials", type=_positive, default=30, metavar="N",
        help="candidates in all, those of earlier calls included (default: 30)",
    )  # fmt: skip
    parser.add_argument(
        "--epochs", type=_positive, default=3, metavar="N",
        help="epochs that each is trained for, whatever Trainer.epochs is (default: 3)",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=_positive, default=0, metavar="N",
        help="begin no candidate after so long (default: no limit)",
    )  # fmt: skip
    for name, what in (
        ("bytes", "size of the .tflite file"),
        ("macs", "multiply-accumulates of one inference"),
        ("arena-bytes", "working memory in TensorFlow Lite for Microcontrollers"),
    ):
        parser.add_argument(
            f"--most-{name}", type=_positive, default=0, metavar="N", help=f"limit: {what}"
        )
    parser.add_argument(
        "--architectures",
        default=",".join(ARCHITECTURES),
        metavar="NAME,...",
        help="those that are searched (default: all)",
    )
    add_json(parser)
    parser.set_defaults(takes_beam_options=True)


def run(arguments: argparse.Namespace) -> int:
    """Searches, and prints what it found."""
    from pipeline import root_lock
    from pipeline.search import Search, searched
    from pipeline.ui.run_view import RunView

    bounds = _bounds(arguments)
    root = Path(arguments.root).absolute()
    trainer, steps = searched(make_recipe(arguments, root, data_folder(arguments)), _TRAINER)
    trainer.parameters = dataclasses.replace(trainer.parameters, epochs=arguments.epochs)
    root.mkdir(parents=True, exist_ok=True)
    with (
        root_lock.hold(root) as lock,
        RunView() as view,
        contextlib.closing(open_store(arguments)) as store,
    ):
        search = Search(trainer, steps, root, view, lock, time.monotonic)
        finished = search.run(store, bounds)
    _tell(finished, root / steps.name / _RESULT, arguments.json)
    return 0


def _bounds(arguments: argparse.Namespace) -> Bounds:
    from pipeline.search import Bounds

    names = tuple(dict.fromkeys(n.strip() for n in arguments.architectures.split(",") if n.strip()))
    unknown = sorted(set(names) - set(ARCHITECTURES))
    if unknown or not names:
        raise UserError(
            f"--architectures {arguments.architectures}: take names of "
            f"{', '.join(sorted(ARCHITECTURES))}"
        )
    return Bounds(
        trials=arguments.trials,
        seconds=60.0 * arguments.minutes,
        architectures=names,
        most_bytes=arguments.most_bytes,
        most_macs=arguments.most_macs,
        most_arena_bytes=arguments.most_arena_bytes,
    )


def _tell(finished: list[Finished], path: Path, as_json: bool) -> None:
    """Writes and prints the front, the choice and all candidates."""
    from rich.console import Console

    from components.artifacts import write_json
    from components.tuner.outcome import choose, front
    from pipeline.ui.search_view import search_lines, settings

    worth, chosen = front(finished), choose(finished)
    content = {
        "front": [trial.number for trial in worth],
        "chosen": None if chosen is None else chosen.number,
        "settings": [] if chosen is None else settings(chosen),
        "trials": [dataclasses.asdict(trial) for trial in finished],
    }
    write_json(path, content)
    if as_json:
        print(json.dumps(content, indent=1))
        return
    console = Console(highlight=False)
    for line in search_lines(worth, chosen, finished):
        console.print(line, soft_wrap=True)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return value
