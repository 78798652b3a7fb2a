"""The Python modules of a checkout and what each needs at run time, read from their source."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.modules import mentions, nearest

HOUSES = ("components", "edge_agent", "fleet", "pipeline", "tests", "tools")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Module:
    """One source file.

    Attributes:
        name: dotted, e.g. ``edge_agent.bundle.archive``; a package's ends in ``.__init__``.
        path: relative to the checkout.
        tree: its syntax tree.
    """

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> Path:
        """The folder it lies in, relative to the checkout."""
        return self.path.parent

    @property
    def is_test(self) -> bool:
        """Whether pytest collects it."""
        return self.path.parts[0] == "tests" and self.path.name.startswith("test_")


def find_modules(root: Path) -> dict[str, Module]:
    """All modules of the houses by name; outside ``tests`` a folder needs an ``__init__.py``."""
    modules = {}
    for house in HOUSES:
        for file in sorted((root / house).rglob("*.py")):
            if house != "tests" and not (file.parent / "__init__.py").exists():
                continue
            path = file.relative_to(root)
            name = ".".join(path.with_suffix("").parts)
            tree = ast.parse(file.read_bytes(), filename=str(path))
            modules[name] = Module(name=name, path=path, tree=tree)
    return modules


def needs(module: Module, modules: Mapping[str, Module]) -> set[str]:
    """Names of the modules that `module` needs at run time.

    These are the modules that it mentions (see `pipeline.modules`), the ``__init__`` of the packages
    around it, and for a test the ``conftest`` files around it.
    """
    found = set(_around(module, "__init__")) & modules.keys()
    if module.is_test:
        found |= set(_around(module, "conftest")) & modules.keys()
    for dotted in mentions(module.tree):
        name = nearest(dotted, modules.__contains__)
        if name is not None:
            found.add(name)
    return found - {module.name}


def _around(module: Module, file: str) -> Iterator[str]:
    parts = module.package.parts
    for depth in range(1, len(parts) + 1):
        yield ".".join((*parts[:depth], file))
