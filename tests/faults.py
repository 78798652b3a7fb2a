"""Tries every fault that docs/updates.md lists, by the tests that it names, and prints what came of it.

    python -m tests.faults [--file docs/updates.md]

Exit code 0 if all were survived; 1 if one was not, or a test that is named is not there.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parents[1]
_NAME = re.compile(r"`(?:make \w+`: `)?((?:test_|Test)\w+)`")
_FILES = ("tests/edge_agent", "tests/fleet")


@dataclasses.dataclass(frozen=True)
class Fault:
    """A row of the table: what may go wrong, and the tests that try it."""

    name: str
    tests: tuple[str, ...]


def read_faults(text: str) -> list[Fault]:
    """The table of faults in a document."""
    faults = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        tests = tuple(_NAME.findall(cells[-1])) if line.startswith("|") else ()
        if tests:
            faults.append(Fault(cells[0], tests))
    return faults


class Tally:
    """A pytest plugin: runs the tests with these names alone, and counts what each of them tried.

    Attributes:
        tried: by the test's name; a test that says how much it tried counts for that much.
        survived: likewise, of those that passed.
        skipped: tests that cannot be run here.
    """

    def __init__(self, names: set[str]) -> None:
        self.tried: Counter[str] = Counter()
        self.survived: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._names = names

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """Leaves out what is not named."""
        others = [item for item in items if _name(item.nodeid) not in self._names]
        items[:] = [item for item in items if _name(item.nodeid) in self._names]
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Counts a test that has ended."""
        if report.when != "call" and not (report.when == "setup" and not report.passed):
            return
        name = _name(report.nodeid)
        if report.skipped:
            self.skipped[name] += 1
            return
        count = int(dict(report.user_properties).get("tried", 1))
        self.tried[name] += count
        self.survived[name] += count * report.passed


def _name(node: str) -> str:
    """What the documents call a test: a function, or the class of a machine of hypothesis."""
    parts = node.split("[")[0].split("::")[1:]
    return parts[0]


def main() -> int:
    """Runs the tests and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_FORM)
    parser.add_argument("--file", type=Path, default=TOP / "docs" / "updates.md", metavar="MD")
    arguments = parser.parse_args()
    faults = read_faults(arguments.file.read_text())
    tally = Tally({name for fault in faults for name in fault.tests})
    # One process: a plugin of this one sees all that is tried.
    words = ["-q", "--no-header", "-n", "0", "-m", "not fuzz", *_FILES]
    pytest.main(words, plugins=[tally])
    width = max(len(fault.name) for fault in faults)
    print(f"\n{'fault':{width}}  tried  survived")
    well = True
    for fault in faults:
        tried = sum(tally.tried[name] for name in fault.tests)
        survived = sum(tally.survived[name] for name in fault.tests)
        missing = [n for n in fault.tests if not tally.tried[n] and not tally.skipped[n]]
        note = f"  no such test: {', '.join(missing)}" if missing else ""
        skipped = sum(tally.skipped[name] for name in fault.tests)
        note += f"  {skipped} not to be run here" if skipped else ""
        print(f"{fault.name:{width}}  {tried:5}  {survived:8}{note}")
        well = well and tried == survived and not missing
    total, survived = sum(tally.tried.values()), sum(tally.survived.values())
    print(f"{'all, each test once':{width}}  {total:5}  {survived:8}")
    return 0 if well else 1


_FORM = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main())
