"""``python -m edge_agent selftest``: runs a bundle's golden vectors on this device."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from edge_agent.commands.bundle_arguments import add_bundle, opened
from edge_agent.commands.errors import CommandError

NAME = "selftest"
SUMMARY = "test a bundle on this device"
DESCRIPTION = """\
Runs the bundle's golden vectors on the runtime that is installed here, and says whether the model
gives what it gave where it was built."""
EXAMPLES = ""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_bundle(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what the self-test found."""
    from edge_agent import selftest

    with opened(arguments.bundle) as bundle:
        try:
            result = selftest.run(bundle, runtime=arguments.runtime)
        except selftest.SelfTestError as e:
            raise CommandError(f"{arguments.bundle}: {e}") from e
    if arguments.json:
        print(json.dumps(dataclasses.asdict(result)))
    else:
        print(
            f"passed: {result.vectors} vectors on {result.runtime} {result.version}, at most "
            f"{result.max_lsb:.3g} steps off ({result.tolerance:g} allowed)"
        )
    return 0
