"""The digest of a component's code: what moves it, and what does not."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.code_digest import Code, CodeDigests
from pipeline.recipes import keyword_spotting

ROOT = Path(__file__).resolve().parents[2]

COMPONENT = '''
"""A component."""
import dataclasses
from typing import ClassVar
from components.artifacts import MODEL
from components.base import Component

@dataclasses.dataclass(frozen=True)
class Parameters:
    """None."""

class Mine(Component):
    """Mine."""
    OUTPUTS: ClassVar = {"model": MODEL}
    PARAMETERS = Parameters
    EXECUTOR = "PACKAGE.executor:execute"
'''
EXECUTOR = """
from PACKAGE.near import near

def execute(inputs, outputs, parameters):
    import PACKAGE.lazy
    return {"near": near()}
"""
NEAR = '''
from pathlib import Path
from PACKAGE import far

def near():
    """Says it."""
    # why
    return far.FAR + float((Path(__file__).parent / "table.txt").read_text())
'''


@pytest.fixture
def package(tmp_path, monkeypatch, request):
    """A user's own package with a component, which may be changed: (folder, its digest)."""
    name = f"mine_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    folder.mkdir()
    for file, text in {
        "__init__.py": "",
        "component.py": COMPONENT,
        "executor.py": EXECUTOR,
        "near.py": NEAR,
        "far.py": "FAR = 1.0\n",
        "lazy.py": "LAZY = 1\n",
        "stranger.py": "x = 1\n",
        "table.txt": "3",
    }.items():
        (folder / file).write_text(text.replace("PACKAGE", name))
    monkeypatch.syspath_prepend(str(tmp_path))
    component = importlib.import_module(f"{name}.component").Mine()

    def code() -> Code:
        digests = CodeDigests(tmp_path / "memory")
        found = digests.of(component)
        digests.save()
        return found

    return folder, code


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("executor.py", '"near"', '"far"'),
        ("near.py", "+", "-"),
        ("far.py", "1.0", "2.0"),
        ("lazy.py", "1", "2"),
        ("component.py", '"model"', '"other"'),
        ("table.txt", "3", "4"),
    ],
)
def test_a_change_in_whatever_it_needs_is_noticed(package, file, old, new):
    folder, code = package
    before = code()
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    after = code()
    assert after.digest != before.digest
    moved = {name for name in after.files if after.files[name] != before.files.get(name)}
    assert {name.rpartition(folder.name)[2].strip("./") for name in moved} == {
        file.removesuffix(".py")
    }


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("near.py", "# why", "# another reason"),
        ("near.py", "Says it.", "Says it otherwise."),
        ("near.py", "far.FAR + ", "(\n        far.FAR\n        + "),
        ("stranger.py", "1", "2"),
    ],
)
def test_what_changes_nothing_that_it_does_is_not(package, file, old, new):
    folder, code = package
    before = code()
    text = (folder / file).read_text().replace(old, new)
    if new.startswith("("):
        text = text.rstrip() + ")\n"
    (folder / file).write_text(text)
    assert code() == before


def test_a_docstring_that_the_code_reads_counts(package):
    folder, code = package
    near = folder / "near.py"
    near.write_text(near.read_text() + "\nTEXT = near.__doc__\n")
    before = code()
    near.write_text(near.read_text().replace("Says it.", "Says it otherwise."))
    assert code().digest != before.digest


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"a": 1}', '{"a": ["b"]}'])
def test_a_damaged_memory_is_no_memory(package, tmp_path, damage):
    _, code = package
    before = code()
    (tmp_path / "memory" / "sources.json").write_text(damage)
    assert code() == before


def test_it_is_remembered_from_run_to_run(package, tmp_path, monkeypatch):
    _, code = package
    before = code()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr("ast.parse", never)
    assert code() == before


IMPORTED = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
houses = ("components.", "edge_agent.", "fleet.")
print(json.dumps([name for name in sys.modules if name.startswith(houses)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("id", ["ExampleGen", "Transform", "Trainer", "Evaluator", "Pusher"])
def test_whatever_a_step_imports_is_in_its_digest(tmp_path, id):
    recipe = keyword_spotting.recipe(tmp_path, tmp_path, ("yes",))
    (component,) = (c for c in recipe.components if c.id == id)
    files = CodeDigests(tmp_path / "memory").of(component).files
    executor = component.EXECUTOR.partition(":")[0]
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, "components.child", executor],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = json.loads(done.stdout.splitlines()[-1])
    assert executor in imported
    assert {n for n in imported if n not in files and f"{n}.__init__" not in files} == set()
