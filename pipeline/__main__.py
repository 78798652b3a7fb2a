"""The pipeline's command line.

Runs a recipe from data to a signed release.

  python -m pipeline run keyword_spotting --data DIR --root var
      learn the words in DIR: one sub-folder of recordings a word
  python -m pipeline run keyword_spotting --keywords "yes no stop go"
      no recordings: learn words from synthesised speech
  python -m pipeline run keyword_spotting --data DIR --set Trainer.epochs=40 --set Transform.seed=2
      change any parameter of any step
  python -m pipeline parameters keyword_spotting
      list the steps and their parameters with their defaults

Afterwards: ROOT/report.html to look at, ROOT/latest.bundle to run, ROOT/repository and ROOT/root.json to
install from. Exit codes: 0 released, 1 error, 2 wrong usage, 3 refused by a gate, 130 interrupted.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from components.base import UserError
from pipeline.execution import StepCrashed
from pipeline.lineage.store import LineageStore
from pipeline.outcome import leave, report_of
from pipeline.recipe import Recipe, apply_settings, seed_settings
from pipeline.recipes import keyword_spotting
from pipeline.runner import run_recipe
from pipeline.ui.run_view import RunView

_DATA = flags.DEFINE_string("data", None, "Folder of recordings, one sub-folder a word.")
_KEYWORDS = flags.DEFINE_string(
    "keywords",
    None,
    "Words to learn from synthesised speech, separated by spaces, instead of --data.",
)
_ROOT = flags.DEFINE_string("root", "var", "Folder that everything is written below.")
_SEED = flags.DEFINE_integer("seed", None, "Seed of every step that has one; --set can differ.")
_SET = flags.DEFINE_multi_string("set", [], "Component.parameter=value; may be given often.")

_DEFAULT_KEYWORDS = "yes no stop go"
_REFUSED = 3
_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(argv: Sequence[str]) -> int:
    """Runs the command in `argv`; gives the exit code."""
    match list(argv[1:]):
        case ["run", keyword_spotting.NAME]:
            command = _run
        case ["parameters", keyword_spotting.NAME]:
            command = _parameters
        case ["run" | "parameters", name]:
            return _usage(f"there is no recipe {name!r}; there is {keyword_spotting.NAME}")
        case ["run" | "parameters"]:
            return _usage(f"name a recipe; there is {keyword_spotting.NAME}")
        case _:
            return _usage("say what to do: run RECIPE, or parameters RECIPE (--help explains)")
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader has gone; what is left in the buffer must not be written at exit either.
        with Path(os.devnull).open("wb") as sink:
            os.dup2(sink.fileno(), 1)
        return _BROKEN_PIPE
    except UserError as e:
        return _error(str(e), 1)
    except StepCrashed as e:
        return _error(f"a step crashed: {e}", 1)
    except OSError as e:
        return _error(f"{e.filename or _ROOT.value}: {e.strerror or e}", 1)
    except KeyboardInterrupt:
        return _error("interrupted; what was finished is kept below the root", _INTERRUPTED)


def _run() -> int:
    started = time.monotonic()
    root = Path(_ROOT.value).absolute()
    data = _data_folder()
    root.mkdir(parents=True, exist_ok=True)
    store = LineageStore.at(root)
    try:
        recipe = _recipe(root, store, data)
        with RunView() as view:
            result = run_recipe(recipe, root, store, view)
            report = report_of(recipe.name, root, result, time.monotonic() - started)
            recordings = data or result.artifacts["SpeechSynthesizer.recordings"]
            leave(recipe.name, root, result, report, recordings)
            view.summary(report, {"root": str(root)})
    finally:
        store.close()
    return _REFUSED if result.refused else 0


def _recipe(root: Path, store: LineageStore, data: Path | None) -> Recipe:
    keywords = tuple((_KEYWORDS.value or _DEFAULT_KEYWORDS).lower().split())
    recipe = keyword_spotting.recipe(root, store, data, keywords)
    if _SEED.value is not None:
        apply_settings(recipe, seed_settings(recipe, _SEED.value))
    apply_settings(recipe, _SET.value)
    return recipe


def _data_folder() -> Path | None:
    if _DATA.value is None:
        return None
    if _KEYWORDS.value is not None:
        raise UserError("give --data or --keywords, not both")
    data = Path(_DATA.value).absolute()
    if not data.is_dir():
        raise UserError(
            f"{_DATA.value}: no such folder: --data names a folder with one sub-folder of recordings a word"
        )
    return data


def _parameters() -> int:
    store = LineageStore("sqlite://")
    recipe = _recipe(Path(_ROOT.value), store, _data_folder())
    for component in recipe.components:
        print(f"{component.id}: {(type(component).__doc__ or '').splitlines()[0]}")
        for field in dataclasses.fields(component.parameters):
            value = getattr(component.parameters, field.name)
            print(f"    {component.id}.{field.name}={_shown(value)}")
    store.close()
    return 0


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _usage(message: str) -> int:
    return _error(message, 2)


def _error(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    flags.FLAGS.set_gnu_getopt(True)
    app.run(main)
