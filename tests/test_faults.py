"""The table of faults: every test that the documents name is there."""

import re
from pathlib import Path

import pytest

from tests.faults import TOP, read_faults

TEXTS = [path.read_text() for path in (Path(TOP) / "tests").rglob("test_*.py")]
TESTS = {
    name for text in TEXTS for name in re.findall(r"^(?:def |)((?:test_|Test)\w+)", text, re.M)
}


@pytest.mark.checkout
@pytest.mark.parametrize("document", ["updates.md", "agent.md"])
def test_every_fault_that_is_listed_is_tried(document):
    faults = read_faults((Path(TOP) / "docs" / document).read_text())
    assert len(faults) > 5
    named = {name for fault in faults for name in fault.tests}
    assert named <= TESTS, f"named in docs/{document} and not there: {sorted(named - TESTS)}"


def test_the_table_is_read_as_people_do():
    text = (
        "| fault | what happens | test |\n| --- | --- | --- |\n"
        "| a cut | goes on | `test_a`, `test_b` |\n| kill | x | `test_c`; `make soak`: `test_d` |\n"
    )
    cut, kill = read_faults(text)
    assert (cut.name, cut.tests, kill.tests) == (
        "a cut",
        ("test_a", "test_b"),
        ("test_c", "test_d"),
    )
