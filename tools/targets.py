"""Bazel targets for the modules of a checkout: one a module, as far as imports allow."""

from __future__ import annotations

import ast
import dataclasses
import graphlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.modules import Module, needs

# What a pytest mark on a whole file means to Bazel: left out by .bazelrc, run by name only, never
# taken from the cache.
TAG_OF_MARK = {"slow": "slow", "soak": "manual", "fuzz": "manual", "checkout": "external"}
_LEFT_OUT = {"slow", "soak", "fuzz"}


class ImportCycleError(Exception):
    """Modules of different packages need each other; the message names them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """One target of a BUILD file.

    Attributes:
        package: its folder, relative to the checkout.
        name: its name in the package: the first of its modules.
        srcs: file names.
        deps: (package, name) of the targets it needs.
        is_test: whether it is run through pytest; then it has one source.
        tags: Bazel's tags.
    """

    package: Path
    name: str
    srcs: tuple[str, ...]
    deps: frozenset[tuple[Path, str]]
    is_test: bool
    tags: tuple[str, ...]


def find_targets(modules: Mapping[str, Module]) -> list[Target]:
    """The targets in the order of their modules' names.

    Modules of one package that need each other share a target.

    Raises:
        ImportCycleError: if modules of different packages need each other.
    """
    graph = {name: needs(module, modules) for name, module in modules.items()}
    groups = _groups(graph, modules)
    targets = []
    for group in sorted(set(groups.values()), key=min):
        first = modules[min(group)]
        needed = {min(groups[name]) for member in group for name in graph[member]} - {min(group)}
        marks = _marks_of_all_tests(first.tree) if first.is_test else set[str]()
        targets.append(
            Target(
                package=first.package,
                name=first.path.stem,
                srcs=tuple(sorted(modules[name].path.name for name in group)),
                deps=frozenset((modules[n].package, modules[n].path.stem) for n in needed),
                is_test=first.is_test,
                tags=tuple(sorted({TAG_OF_MARK[mark] for mark in marks})),
            )
        )
    return targets


def _groups(
    graph: Mapping[str, set[str]], modules: Mapping[str, Module]
) -> dict[str, frozenset[str]]:
    """For each module all that share its target; nearly always itself alone."""
    groups = {name: frozenset({name}) for name in graph}
    while True:
        between = {
            group: {groups[name] for member in group for name in graph[member]} - {group}
            for group in groups.values()
        }
        try:
            graphlib.TopologicalSorter(between).prepare()
        except graphlib.CycleError as e:
            cycle = frozenset[str]().union(*e.args[1])
            if len({modules[name].package for name in cycle}) > 1:
                raise ImportCycleError(
                    "these modules need each other and are of different packages: "
                    + ", ".join(sorted(cycle))
                ) from e
            groups.update(dict.fromkeys(cycle, cycle))
        else:
            return groups


def _marks_of_all_tests(tree: ast.Module) -> set[str]:
    """Marks of the file as a whole, and those that each of its tests bears.

    A file is slow, too, whose tests are all left out without a mark that they share.
    """
    of_file: set[str] = set()
    of_tests: list[set[str]] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            of_file = _marks([node.value])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.lower()[:4] == "test":
            of_tests.append(_marks(node.decorator_list))
    shared = of_file.union(set.intersection(*of_tests) if of_tests else ())
    if not shared and of_tests and all(marks & _LEFT_OUT for marks in of_tests):
        return {"slow"}
    return shared


def _marks(nodes: Iterable[ast.AST]) -> set[str]:
    names = {n.attr for node in nodes for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return names & TAG_OF_MARK.keys()
