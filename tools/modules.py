"""The Python modules of a checkout and what each needs at run time, read from their source."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

HOUSES = ("components", "edge_agent", "fleet", "pipeline", "tests", "tools")

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(:\w+)?")


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

    These are its imports (lazy ones too, those for type checkers alone not), the ``__init__`` of
    the packages around it, modules named in a string such as
    ``components.trainer.executor:execute`` or imported by a program in one, those started by
    ``-m``, and for a test the ``conftest`` files around it.
    """
    found = set(_around(module, "__init__")) & modules.keys()
    if module.is_test:
        found |= set(_around(module, "conftest")) & modules.keys()
    for node in _runtime_nodes(module.tree):
        found.update(_named(node, modules))
    return found - {module.name}


def _around(module: Module, file: str) -> Iterator[str]:
    parts = module.package.parts
    for depth in range(1, len(parts) + 1):
        yield ".".join((*parts[:depth], file))


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _runtime_nodes(node)


def _named(node: ast.AST, modules: Mapping[str, Module]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield from _nearest(alias.name, modules)
        case ast.ImportFrom(module=str(origin), names=names):
            for alias in names:
                yield from _nearest(f"{origin}.{alias.name}", modules)
        case ast.Constant(value=str(text)) if _DOTTED.fullmatch(text):
            found = _nearest(text.partition(":")[0], modules)
            yield from (name for name in found if name.partition(".")[2] != "__init__")
        case ast.Constant(value=str(text)) if "import " in text:
            for inner in _runtime_nodes(_program(text)):
                yield from _named(inner, modules)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            for flag, name in itertools.pairwise(ast.unparse(item) for item in items):
                program = f"{name[1:-1]}.__main__"
                if flag == "'-m'" and program in modules:
                    yield program


def _program(text: str) -> ast.Module:
    """A string as the program for ``python -c`` that it may be; an empty one if it is not."""
    try:
        return ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _nearest(dotted: str, modules: Mapping[str, Module]) -> Iterator[str]:
    """The module that a dotted name means or lies in, if it is one of `modules`."""
    parts = dotted.split(".")
    while parts:
        name = ".".join(parts)
        for candidate in (name, f"{name}.__init__"):
            if candidate in modules:
                yield candidate
                return
        parts.pop()
