"""The digest of a component's code: its own and that of every module of this repository it needs.

Hashed is the syntax tree, so neither formatting nor comments nor docstrings count. Files beside a module
that looks for files beside itself (``__file__``, ``__package__``) count byte by byte.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.base import Component
from pipeline.memory import recall, remember
from pipeline.modules import mentions, nearest

_TOP = Path(__file__).resolve().parent.parent
_HOUSES = ("components", "edge_agent", "fleet")
_EVERY_STEP = "components.child"  # what an executor runs in
_SOURCES = "sources.json"
_NOT_DATA = ("BUILD", "__pycache__", "build")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Code:
    """The code of a component.

    Attributes:
        digest: SHA-256 over all of it, hex.
        files: digest of each module (by dotted name) and data file (by path), hex.
    """

    digest: str
    files: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Source:
    """What is known of one module's source."""

    digest: str
    mentions: tuple[str, ...]
    looks_beside: bool


class CodeDigests:
    """Reads code, each module once, and remembers across runs what its sources say.

    Args:
        memory: folder that may be removed at any time.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._remembered = _sources(recall(memory / _SOURCES))
        self._found: dict[str, Code] = {}
        self._read: dict[str, _Source] = {}
        self._sources: dict[Path, _Source] = {}
        self._paths: dict[tuple[Path, str], Path | None] = {}

    def of(self, component: Component) -> Code:
        """The code that decides what `component` makes."""
        roots = _roots(type(component))
        todo = [_EVERY_STEP, component.EXECUTOR.partition(":")[0]]
        todo += [c.__module__ for c in type(component).__mro__ if issubclass(c, Component)]
        todo.append(component.PARAMETERS.__module__)
        files: dict[str, str] = {}
        while todo:
            name = nearest(todo.pop(), lambda name: self._path(name, roots) is not None)
            path = None if name is None else self._path(name, roots)
            if name is None or path is None or name in files:
                continue
            source = self._source(path)
            files[name] = source.digest
            todo += source.mentions
            parts = name.split(".")[:-1]
            todo += [".".join((*parts[:depth], "__init__")) for depth in range(1, len(parts) + 1)]
            if source.looks_beside:
                files |= _data_files(path.parent, "/".join(parts))
        total = hashlib.sha256(json.dumps(files, sort_keys=True).encode())
        code = Code(digest=total.hexdigest(), files=files)
        self._found[code.digest] = code
        return code

    def files_of(self, digest: str) -> Mapping[str, str] | None:
        """The digests of the files of an earlier `Code`, if it is remembered."""
        files = recall(self._memory / f"{digest}.json")
        return files if isinstance(files, dict) else None

    def save(self) -> None:
        """Remembers what was read and found, so far as it is new."""
        if not self._read.keys() <= self._remembered.keys():
            content = {key: dataclasses.astuple(source) for key, source in self._read.items()}
            remember(self._memory / _SOURCES, content)
        for digest, code in self._found.items():
            if not (self._memory / f"{digest}.json").exists():
                remember(self._memory / f"{digest}.json", code.files)

    def _source(self, path: Path) -> _Source:
        if path not in self._sources:
            text = path.read_bytes()
            key = hashlib.sha256(sys.version.encode() + b"\0" + text).hexdigest()
            self._sources[path] = self._read[key] = self._remembered.get(key) or _read(text, path)
        return self._sources[path]

    def _path(self, name: str, roots: Mapping[str, Path]) -> Path | None:
        root = roots.get(name.partition(".")[0])
        if root is None:
            return None
        if (root, name) not in self._paths:
            path = root.joinpath(*name.split(".")).with_suffix(".py")
            self._paths[root, name] = path if path.is_file() else None
        return self._paths[root, name]


def _roots(component: type[Component]) -> dict[str, Path]:
    """The folder of each top-level package whose code counts."""
    roots = dict.fromkeys(_HOUSES, _TOP)
    own = sys.modules[component.__module__]
    file = getattr(own, "__file__", None)
    if file is not None:
        parts = own.__name__.split(".")
        roots.setdefault(parts[0], Path(file).resolve().parents[len(parts) - 1])
    return roots


def _read(text: bytes, path: Path) -> _Source:
    tree = ast.parse(text, filename=str(path))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found = tuple(sorted(mentions(tree)))
    if not any(isinstance(n, ast.Attribute) and n.attr == "__doc__" for n in ast.walk(tree)):
        for node in ast.walk(tree):
            _drop_docstring(node)
    return _Source(
        digest=hashlib.sha256(ast.dump(tree).encode("utf-8", "surrogatepass")).hexdigest(),
        mentions=found,
        looks_beside=bool(names & {"__file__", "__package__"}),
    )


def _drop_docstring(node: ast.AST) -> None:
    match node:
        case (
            ast.Module(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
            | ast.ClassDef(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
            | ast.FunctionDef(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
            | ast.AsyncFunctionDef(body=[ast.Expr(value=ast.Constant(value=str())), *rest])
        ):
            node.body = rest


def _data_files(folder: Path, name: str) -> dict[str, str]:
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in _data_paths(folder)
    }


def _data_paths(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _NOT_DATA or path.suffix in (".py", ".pyc", ".egg-info"):
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not (path / "__init__.py").exists():
            yield from _data_paths(path)


def _sources(content: Any) -> dict[str, _Source]:
    """What is remembered; nothing, if it is damaged."""
    try:
        return {
            key: _Source(digest=str(digest), mentions=tuple(names), looks_beside=bool(beside))
            for key, (digest, names, beside) in content.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}
