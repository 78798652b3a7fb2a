"""The pipeline's command line: runs recipes and looks after what they made.

See `pipeline.command_line` for the commands, and ``python -m pipeline --help``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from absl import app

from components.base import UserError
from pipeline.command_line import parse

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(arguments: argparse.Namespace) -> int:
    """Runs the command that was asked for; gives the exit code."""
    from pipeline.execution import StepCrashed

    try:
        code: int = arguments.run(arguments)
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
        where = e.filename or getattr(arguments, "root", "")
        return _error(f"{where}: {e.strerror or e}", 1)
    except KeyboardInterrupt:
        return _error("interrupted; what was finished is kept below the root", _INTERRUPTED)


def _error(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
