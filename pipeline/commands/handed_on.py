"""Handing a command's arguments on to a process that runs that command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


class Arguments:
    """What a command declares, kept so that it can be written out again.

    Args:
        parser: where the command's arguments are declared too.
        declare: the command's `add_arguments`.
    """

    def __init__(self, parser: Any, declare: Callable[[Any], None]) -> None:
        self._parser = parser
        self._actions: list[argparse.Action] = []
        declare(self)

    def add_argument(self, *names: str, **how: Any) -> None:
        """Declares an argument, as argparse does; of several for one value the first writes all of it."""
        action = self._parser.add_argument(*names, **how)
        if action.dest not in {known.dest for known in self._actions}:
            self._actions.append(action)

    def set_defaults(self, **values: Any) -> None:
        """Sets defaults, as argparse does."""
        self._parser.set_defaults(**values)

    def words(self, arguments: argparse.Namespace) -> tuple[str, ...]:
        """The command line that gives the command what `arguments` holds."""
        found: list[str] = []
        for action in self._actions:
            value = getattr(arguments, action.dest)
            if value == action.default:
                continue
            if not action.option_strings:
                found.append(str(value))
            elif action.nargs == 0:
                found.append(action.option_strings[-1])
            else:
                values = value if isinstance(value, list) else [value]
                found += [f"{action.option_strings[-1]}={each}" for each in values]
        if arguments.beam_options:
            found += ["--", *arguments.beam_options]
        return tuple(found)
