"""BUILD files are what the imports say, and the writing of them."""

from pathlib import Path

import pytest

from tools.build_files import build_files, left_over
from tools.modules import find_modules, needs
from tools.targets import ImportCycleError, find_targets

ROOT = Path(__file__).resolve().parents[1]


def checkout(folder: Path, **files: str) -> Path:
    """A checkout with `files`, whose keys are paths with ``__`` for ``/``."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
    return folder


def needed_by(root: Path, name: str) -> set[str]:
    modules = find_modules(root)
    return {n for n in needs(modules[name], modules) if not n.endswith("__init__")}


@pytest.fixture(scope="module")
def targets():
    """Those of this checkout."""
    return find_targets(find_modules(ROOT))


@pytest.mark.checkout
def test_build_files_of_this_checkout_are_up_to_date(targets):
    wanted = build_files(ROOT, targets)
    wrong = [
        str(path)
        for path, text in wanted.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text() != text
    ]
    assert not [*wrong, *map(str, left_over(ROOT, targets))], "run `make build-files`"


@pytest.mark.checkout
def test_every_test_file_of_this_checkout_has_a_target(targets):
    files = {path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")}
    assert files == {t.package / t.srcs[0] for t in targets if t.is_test}


@pytest.mark.parametrize(
    "source",
    [
        "from fleet.b import f",
        "import fleet.b",
        "from fleet import b",
        "def g():\n    from fleet.b import f",
        "EXECUTOR = 'fleet.b:execute'",
        "run([python, '-m', 'fleet.b'])",
        "run([python, '-c', 'import sys, fleet.b'])",
    ],
)
def test_what_a_module_names_it_needs(tmp_path, source):
    root = checkout(tmp_path, fleet__a=source, fleet__b="")
    assert needed_by(root, "fleet.a") == {"fleet.b"}


@pytest.mark.parametrize(
    "source",
    [
        "import json",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fleet.b import f",
        "'See fleet.b for more.'",
        "'We import fleet.b here.'",
        "LIST = ['fleet']",
    ],
)
def test_what_is_not_there_at_run_time_is_not_needed(tmp_path, source):
    root = checkout(tmp_path, fleet__a=source, fleet__b="", fleet____main____="")
    assert needed_by(root, "fleet.a") == set()


def test_a_program_started_by_its_package_is_needed(tmp_path):
    root = checkout(tmp_path, tests__test_a="run([python, '-m', 'fleet'])")
    (root / "fleet").mkdir()
    (root / "fleet" / "__main__.py").touch()
    (root / "fleet" / "__init__.py").touch()
    assert needed_by(root, "tests.test_a") == {"fleet.__main__"}


def test_a_test_depends_on_the_conftest_files_around_it(tmp_path):
    root = checkout(tmp_path, tests__conftest="", tests__a__test_b="", tests__c__conftest="")
    assert needed_by(root, "tests.a.test_b") == {"tests.conftest"}


def test_modules_of_a_package_that_need_each_other_share_a_target(tmp_path):
    root = checkout(tmp_path, fleet__a="import fleet.b", fleet__b="import fleet.a", fleet__c="")
    sources = {t.srcs for t in find_targets(find_modules(root))}
    assert sources == {("a.py", "b.py"), ("c.py",), ("__init__.py",)}


def test_packages_that_need_each_other_are_refused_by_name(tmp_path):
    root = checkout(tmp_path, fleet__a__x="import fleet.b.y", fleet__b__y="import fleet.a.x")
    with pytest.raises(ImportCycleError, match=r"fleet\.a\.x, fleet\.b\.y"):
        find_targets(find_modules(root))


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("pytestmark = pytest.mark.slow\ndef test_a(): ...", ("slow",)),
        ("@pytest.mark.slow\ndef test_a(): ...\n@pytest.mark.slow\ndef test_b(): ...", ("slow",)),
        ("@pytest.mark.slow\ndef test_a(): ...\ndef test_b(): ...", ()),
        ("@pytest.mark.soak\ndef test_a(): ...", ("manual",)),
        ("@pytest.mark.soak\ndef test_a(): ...\n@pytest.mark.slow\ndef test_b(): ...", ("slow",)),
        ("@pytest.mark.parametrize('x', [1])\ndef test_a(x): ...", ()),
    ],
)
def test_a_file_of_slow_tests_alone_is_tagged(tmp_path, source, tags):
    root = checkout(tmp_path, tests__test_a=source)
    (test,) = (t for t in find_targets(find_modules(root)) if t.is_test)
    assert test.tags == tags


def test_files_beside_the_modules_go_along_as_data(tmp_path):
    root = checkout(tmp_path, fleet__a="", fleet__b__c="", fleet__b__d__e="")
    (root / "fleet" / "b" / "pages").mkdir()
    (root / "fleet" / "b" / "pages" / "index.html").touch()
    written = build_files(root, find_targets(find_modules(root)))
    assert 'data = [":data_files"]' in written[Path("fleet/b/BUILD")]
    assert "data_files" not in written[Path("fleet/BUILD")]
    assert "data_files" not in written[Path("fleet/b/d/BUILD")]


def test_a_folder_without_modules_keeps_no_written_build_file(tmp_path):
    root = checkout(tmp_path, fleet__a="", fleet__b__c="")
    for path, text in build_files(root, find_targets(find_modules(root))).items():
        (root / path).write_text(text)
    for path in (root / "fleet" / "b").glob("*.py"):
        path.unlink()
    assert left_over(root, find_targets(find_modules(root))) == [Path("fleet/b/BUILD")]
