"""What stands at the root of the repository, and what must not stand in it."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tools.modules import HOUSES as MODULES

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("pipeline", "components", "edge_agent", "fleet")

# In pieces, so that this file does not mention them itself.
PLACES = "|".join(("root", "work", "home", "Users"))
PATH_OF_A_MACHINE = re.compile(rf"(?<![\w.$}}])/({PLACES})/")
BINARY = {".wav", ".png", ".jpg", ".tflite", ".npy", ".npz", ".bundle", ".ico", ".h5"}


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("not a git checkout")
    paths = (ROOT / name for name in found.stdout.split("\0") if name)
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def requirements(path: Path) -> dict[str, str]:
    """Name to version of each line that pins one."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", path.read_text(), flags=re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in pins}


@pytest.mark.parametrize("house", HOUSES)
def test_each_house_is_a_package_with_a_build_file(house):
    assert (ROOT / house / "__init__.py").is_file()
    assert (ROOT / house / "BUILD").is_file()


def test_every_package_says_in_a_line_what_it_is():
    files = [path for house in MODULES for path in (ROOT / house).rglob("__init__.py")]
    assert not [str(path) for path in files if not ast.get_docstring(ast.parse(path.read_text()))]


def test_no_package_lacks_its_init_file():
    folders = {path.parent for house in HOUSES for path in (ROOT / house).rglob("*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def test_tests_are_named_differently_all_over():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert not {name for name in names if names.count(name) > 1}


def test_lock_pins_every_package_it_lists():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert packages
    assert not [line for line in packages if not re.fullmatch(r"[a-z0-9.-]+==\S+", line)]


@pytest.mark.parametrize(
    "package",
    ["tensorflow", "tensorflow-model-optimization", "tflite-runtime", "apache-beam", "absl-py"],
)
def test_lock_holds_the_named_packages(package):
    assert package in requirements(ROOT / "requirements.txt")


def test_lock_holds_what_was_asked_for():
    locked = requirements(ROOT / "requirements.txt")
    for name, version in requirements(ROOT / "requirements.in").items():
        assert locked.get(name) == version, f"{name}: run `make lock`"


@pytest.mark.parametrize("folder", [".", "edge_agent"])
def test_requirements_name_no_index(folder):
    for path in sorted((ROOT / folder).glob("requirements.*")):
        assert not re.search(r"://|^\s*-", path.read_text(), flags=re.MULTILINE), path


def test_no_file_mentions_a_path_of_one_machine():
    found = []
    for path in tracked_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PATH_OF_A_MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found
