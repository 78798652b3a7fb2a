"""The agent's command line; `edge_agent.command_line` lists the commands.

Exit codes: 0 done, 1 an error that the message explains, 2 a wrong command line, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from absl import app

from edge_agent.command_line import parse
from edge_agent.commands.errors import CommandError

_INTERRUPTED, _BROKEN_PIPE = 130, 141
# securesystemslib loads those that are installed, to sign with keys in clouds and tokens.
_FOR_SIGNING = ("boto3", "azure.core", "google.cloud.kms", "pkcs11", "hvac", "keylet")


def main(arguments: argparse.Namespace) -> int:
    """Runs the command that was asked for; gives the exit code."""
    # The products of the front end are too small for more threads, which only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return _BROKEN_PIPE
    except CommandError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        _drop_output()
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _drop_output() -> None:
    """Lets nothing that is left in the buffer be written at exit: it could not be before."""
    with Path(os.devnull).open("wb") as sink:
        os.dup2(sink.fileno(), 1)


def run() -> None:
    """The entry point: parses the command line, runs the command, and exits.

    An agent signs nothing: what others only need for that is not to be found in its process, where it
    would take more than 10 MB of an updater.
    """
    logging.getLogger("tuf").setLevel(logging.WARNING)  # its notes come again as errors, in words
    sys.modules.update(dict.fromkeys(_FOR_SIGNING))  # type: ignore[arg-type]  # None: not to be had
    app.run(main, flags_parser=parse)


if __name__ == "__main__":
    run()
