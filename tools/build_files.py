"""Bazel's BUILD files, written from what the modules import: ``make build-files``.

Every package gets a BUILD with a py_library for each module and a pytest_test for each test file,
whose deps are exactly what the source needs (`tools.modules`, `tools.targets`). Files that are not
Python are the package's ``data_files`` and go along with each of its modules.
``tests/test_build_files.py`` fails while a BUILD file is not what this writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from absl import app

from tools.modules import HOUSES, find_modules
from tools.targets import Target, find_targets

_HEADER = "# Written by `make build-files` from what the modules import.\n"
_LOAD_TEST = 'load("//tools/bazel:pytest.bzl", "pytest_test")\n'
_VISIBILITY = 'package(default_visibility = ["//visibility:public"])\n'
_DATA_FILES = """\
filegroup(
    name = "data_files",
    srcs = glob(
        ["**"],
        exclude = [
            "BUILD",
            "**/*.py",
            "**/*.pyc",
        ],
    ),
)
"""


def build_files(root: Path, targets: Iterable[Target]) -> dict[Path, str]:
    """The text of each package's BUILD file, by its path relative to the checkout `root`."""
    packages: dict[Path, list[Target]] = {}
    for target in targets:
        packages.setdefault(target.package, []).append(target)
    return {
        package / "BUILD": _build_file(targets, has_data=_has_data(root, package, packages))
        for package, targets in packages.items()
    }


def left_over(root: Path, targets: Iterable[Target]) -> list[Path]:
    """BUILD files of an earlier writing in folders that hold no module any more."""
    wanted = {target.package / "BUILD" for target in targets}
    found = (path for house in HOUSES for path in sorted((root / house).rglob("BUILD")))
    written = (path.relative_to(root) for path in found if path.read_text().startswith(_HEADER))
    return [path for path in written if path not in wanted]


def _has_data(root: Path, package: Path, packages: Iterable[Path]) -> bool:
    """Whether the glob in `_DATA_FILES` finds anything: it stops at packages within."""
    folder = root / package
    others = {root / p for p in packages} | {path.parent for path in folder.rglob("BUILD")}
    within = {other for other in others if folder in other.parents}
    return any(
        path.is_file()
        and path.name != "BUILD"
        and path.suffix not in (".py", ".pyc")
        and within.isdisjoint(path.parents)
        for path in folder.rglob("*")
    )


def _build_file(targets: Iterable[Target], *, has_data: bool) -> str:
    data = [":data_files"] if has_data else []
    rules = [
        _rule("pytest_test", name=t.name, tags=t.tags, data=data, deps=_labels(t))
        if t.is_test
        else _rule("py_library", name=t.name, srcs=t.srcs, data=data, deps=_labels(t))
        for t in targets
    ]
    load = [_LOAD_TEST] if any(t.is_test for t in targets) else []
    return "\n".join([_HEADER, *load, _VISIBILITY, *([_DATA_FILES] if has_data else []), *rules])


def _labels(target: Target) -> list[str]:
    return sorted(
        f":{name}" if package == target.package else f"//{package.as_posix()}:{name}"
        for package, name in target.deps
    )


def _rule(kind: str, *, name: str, **lists: Iterable[str]) -> str:
    lines = [f"    name = {json.dumps(name)},\n"]
    for attribute, values in lists.items():
        items = [json.dumps(value) for value in values]
        if len(items) == 1:
            lines.append(f"    {attribute} = [{items[0]}],\n")
        elif items:
            inner = "".join(f"        {item},\n" for item in items)
            lines.append(f"    {attribute} = [\n{inner}    ],\n")
    return f"{kind}(\n{''.join(lines)})\n"


def main(argv: list[str]) -> None:
    """Writes the BUILD files of the checkout that this file is in."""
    if len(argv) > 1:
        raise app.UsageError("it takes no arguments")
    root = Path(__file__).resolve().parents[1]
    targets = find_targets(find_modules(root))
    for path in left_over(root, targets):
        (root / path).unlink()
    for path, text in build_files(root, targets).items():
        (root / path).write_text(text)


if __name__ == "__main__":
    app.run(main)
