"""``run RECIPE``: from data to a signed release."""

from __future__ import annotations

import argparse
import contextlib
import time
from pathlib import Path
from typing import Any

from pipeline.commands import study
from pipeline.commands.recipe_arguments import add_recipe, data_folder, make_recipe
from pipeline.commands.store_arguments import add_openlineage, open_telling

NAME = "run"
SUMMARY = "run a recipe, from data to a signed release"
DESCRIPTION = """\
Runs a recipe from data to a signed release. Afterwards: ROOT/report.html to look at, ROOT/latest.bundle
to run, ROOT/repository and ROOT/root.json to install from. Exit code 3 if a gate refuses the model.
Options after -- go to the Beam runner of the data-parallel steps."""
EXAMPLES = """\
  python -m pipeline run keyword_spotting --data DIR --root var
      learn the words in DIR: one sub-folder of recordings a word
  python -m pipeline run keyword_spotting --keywords "yes no stop go"
      no recordings: learn words from synthesised speech
  python -m pipeline run anomaly_detection --data DIR
      watch machines like those in DIR: CSV files that begin with normal running; without --data,
      simulated pumps
  python -m pipeline run image_classification --data DIR
      learn pictures, one sub-folder a label; without --data, real handwritten digits
  python -m pipeline run compression_study --data DIR --budget-minutes 60 --max-bytes 20000
      try every technique of compression on the words in DIR, and release the best that fits
  python -m pipeline run word_transfer --data DIR --root var
      teach the model at the root the words in DIR that it does not know, from few recordings
  python -m pipeline run keyword_spotting --data DIR --set Trainer.epochs=40 --set Transform.seed=2
      change any parameter of any step
  python -m pipeline run keyword_spotting --data DIR -- --runner=DirectRunner --direct_num_workers=4
      choose how the data-parallel steps run"""

_REFUSED = 3
# Where no data is given.
_MAKERS = (
    "SpeechSynthesizer.recordings",
    "MachineSimulator.recordings",
    "HandwrittenDigits.recordings",
)


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    add_recipe(parser)
    add_openlineage(parser)
    study.add_study(parser)
    parser.set_defaults(takes_beam_options=True)


def run(arguments: argparse.Namespace) -> int:
    """Runs the recipe; 3 if it is refused."""
    if arguments.recipe == study.RECIPE:
        return study.run_study(arguments)
    study.demand_none(arguments)
    from pipeline import root_lock
    from pipeline.outcome import leave, report_of
    from pipeline.runner import run_recipe
    from pipeline.ui.run_view import RunView

    started = time.monotonic()
    root = Path(arguments.root).absolute()
    data = data_folder(arguments)
    recipe = make_recipe(arguments, root, data)
    root.mkdir(parents=True, exist_ok=True)
    with (
        root_lock.hold(root) as lock,
        RunView() as view,
        contextlib.closing(open_telling(arguments, view.warning)) as store,
    ):
        result = run_recipe(recipe, root, store, view, lock)
        report = report_of(recipe.name, root, result, time.monotonic() - started)
        recordings = data or next(result.artifacts[m] for m in _MAKERS if m in result.artifacts)
        leave(recipe.name, root, result, report, recordings)
        view.summary(report, {"root": str(root)})
    return _REFUSED if result.refused else 0
