"""What a Python source needs of other modules at run time, read from its syntax tree."""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from collections.abc import Callable, Iterator

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(:\w+)?")


def mentions(tree: ast.Module) -> set[str]:
    """Dotted names that a module may need at run time, of modules or of what lies in them.

    These are its imports (lazy ones too, those for type checkers alone not), modules named in a
    string such as ``components.trainer.executor:execute`` or imported by a program in one, and those
    started by ``-m``.
    """
    return {name for node in _runtime_nodes(tree) for name in _mentioned(node)}


def nearest(dotted: str, exists: Callable[[str], bool]) -> str | None:
    """The module that a dotted name means or lies in.

    A package is given as its ``__init__``. None if `exists` knows no such module.
    """
    parts = dotted.split(".")
    while parts:
        name = ".".join(parts)
        for candidate in (name, f"{name}.__init__"):
            if exists(candidate):
                return candidate
        parts.pop()
    return None


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    left = [tree]
    while left:
        for node in ast.iter_child_nodes(left.pop()):
            if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                continue
            yield node
            left.append(node)


def _mentioned(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(origin), names=names):
            yield from (f"{origin}.{alias.name}" for alias in names)
        case ast.Constant(value=str(text)) if _DOTTED.fullmatch(text):
            yield text.partition(":")[0]
        case ast.Constant(value=str(text)) if "import " in text:
            for inner in _runtime_nodes(_program(text)):
                yield from _mentioned(inner)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            for flag, name in itertools.pairwise(items):
                match (flag, name):
                    case (ast.Constant(value="-m"), ast.Constant(value=str(program))):
                        yield f"{program}.__main__"


def _program(text: str) -> ast.Module:
    """A string as the program for ``python -c`` that it may be; an empty one if it is not."""
    try:
        return ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])
