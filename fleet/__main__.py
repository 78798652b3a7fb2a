"""The fleet's command line; `fleet.command_line` lists the commands.

Exit codes: 0 done, 1 an error that the message explains, 2 a wrong command line, 3 something is due,
130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from absl import app

from fleet.command_line import parse

_INTERRUPTED, _BROKEN_PIPE = 130, 141


def main(arguments: argparse.Namespace) -> int:
    """Runs the command that was asked for; gives the exit code."""
    from edge_agent.bundle.archive import BundleError
    from fleet.repository.errors import RepositoryError
    from fleet.rollout.errors import RolloutError
    from fleet.store.errors import StoreError

    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone; what is left in the buffer must not be written at exit either.
        with Path(os.devnull).open("wb") as sink:
            os.dup2(sink.fileno(), 1)
        return _BROKEN_PIPE
    except (BundleError, RepositoryError, RolloutError, StoreError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


if __name__ == "__main__":
    logging.getLogger("tuf").setLevel(logging.WARNING)  # its notes come again as errors, in words
    app.run(main, flags_parser=parse)
