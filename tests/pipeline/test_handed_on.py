"""The scheduler hands every option of `run` on to the run, whatever options `run` gets."""

from __future__ import annotations

import argparse
from typing import Any

from pipeline.command_line import parse
from pipeline.commands import run
from pipeline.commands.run import add_arguments
from pipeline.settings.reading import shipped

ONLY_SCHEDULE = {"run", "handed_on"}


def options_of_run() -> list[argparse.Action]:
    parser = argparse.ArgumentParser()
    parser.register("action", "help", argparse._HelpAction)
    add_arguments(parser)
    return [action for action in parser._actions if action.dest != "help"]


def sample(action: argparse.Action) -> list[str]:
    """Words that give the option a value which is not its default."""
    if not action.option_strings:
        assert action.choices
        return [next(iter(action.choices))]
    if action.nargs == 0:
        return [action.option_strings[-1]]
    if action.option_strings == ["--settings"]:
        value = next(iter(shipped()))
    elif action.choices:
        value = next(str(each) for each in action.choices if each != action.default)
    else:
        value = "7" if action.type in (int, float) else '--a "b" $c=d'
    return [f"{action.option_strings[-1]}={value}"] * (2 if isinstance(action.default, list) else 1)


def values(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name not in ONLY_SCHEDULE}


def handed_on(*words: str) -> tuple[str, ...]:
    arguments = parse(["pipeline", "schedule", "--once", *words])
    found: tuple[str, ...] = arguments.handed_on.words(arguments)
    return found


def test_each_option_reaches_the_run():
    options = options_of_run()
    assert {"recipe", "data", "root", "set"} <= {option.dest for option in options}
    words = [word for option in options for word in sample(option)]
    words += ["--", "--runner=X", "--set=not-ours"]
    wanted = parse(["pipeline", run.NAME, *words])
    for option in options:
        assert getattr(wanted, option.dest) != option.default
    assert values(parse(["pipeline", run.NAME, *handed_on(*words)])) == values(wanted)


def test_what_is_not_given_is_not_handed_on():
    assert handed_on("keyword_spotting") == ("keyword_spotting",)
