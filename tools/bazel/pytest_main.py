"""Runs pytest on one file as a Bazel test.

    pytest_main.py [--in-checkout] FILE [PYTEST OPTION...]

The test finds in the runfiles what its target depends on; with ``--in-checkout`` (the mark
``checkout``) it runs in the checkout instead.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest


def main(arguments: list[str]) -> int:
    """Pytest's exit code; a file without a test to run is an error here as well."""
    if arguments[0] == "--in-checkout":
        _enter_checkout()
        arguments = arguments[1:]
    # Short, unlike Bazel's own: a Unix socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="t") as scratch:
        os.environ["HOME"] = scratch
        return int(
            pytest.main(
                [
                    "--config-file=pyproject.toml",
                    "--numprocesses=0",
                    "-pno:cacheprovider",
                    f"--basetemp={scratch}/p",
                    f"--junitxml={os.environ['XML_OUTPUT_FILE']}",
                    *arguments,
                ]
            )
        )


def _enter_checkout() -> None:
    checkout = Path(__file__).resolve().parents[2]
    runfiles = os.environ["TEST_SRCDIR"]
    os.chdir(checkout)
    os.environ["PYTHONPATH"] = str(checkout)
    sys.path[:] = [str(checkout), *(path for path in sys.path if not path.startswith(runfiles))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
