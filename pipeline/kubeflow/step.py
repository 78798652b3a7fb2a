"""Runs one component where its artifacts are: ``python -m pipeline.kubeflow.step SPECIFICATION``.

This is what a container of a compiled pipeline does. The specification, in JSON:

    component   ``module:Class``
    id          of the component
    settings    its parameters, as ``--set`` takes them
    inputs      folder of each input, by name
    outputs     folder of each output, by name; made if missing
    gates       folders that hold what earlier steps decided; read by a step that gates guard
    decided     folder for the gates that this step decides

The executor, its child process and the cache key are those of a run on one machine, so the bundle is the
same to the byte. Exit code 0; 1 after an error; 3 if a gate that was decided before does not hold.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import Gate, read_gates, write_gates, write_json
from components.base import Channel, Component, UserError
from pipeline.code_digest import CodeDigests
from pipeline.digests import artifact_digest
from pipeline.execution import Execution, StepCrashed
from pipeline.keys import cache_key, key_parts
from pipeline.recipe import Recipe, apply_settings

REFUSED = 3


class _Lines:
    """Shows what a step says as lines of the container's log."""

    def step_progress(self, id: str, done: float, total: float, unit: str, note: str) -> None:
        print(f"{id}: {done:g}/{total:g} {unit} {note}".rstrip(), flush=True)

    def warning(self, message: str) -> None:
        print(f"warning: {message}", flush=True)


def main(argv: list[str]) -> int:
    """Runs the component that ``argv[1]`` specifies."""
    specification = json.loads(argv[1])
    try:
        component = _component(specification)
        broken = [gate for gate in _gates(specification) if not gate.passed]
        if broken:
            print(f"error: {_refusal(component, broken)}", file=sys.stderr)
            return REFUSED
        _execute(component, specification)
        return 0
    except (UserError, StepCrashed) as e:
        print(f"error: {e}", file=sys.stderr)
    except OSError as e:
        print(f"error: {e.filename}: {e.strerror or e}", file=sys.stderr)
    return 1


def _component(specification: Mapping[str, Any]) -> Component:
    module, _, name = specification["component"].partition(":")
    type_: type[Component] = getattr(importlib.import_module(module), name)
    types = {**type_.INPUTS, **type_.OPTIONAL_INPUTS}
    wired = {
        name: Channel(types[name], path=Path(folder))
        for name, folder in specification["inputs"].items()
    }
    component = type_(None, specification["id"], **wired)
    apply_settings(Recipe("step", (component,)), specification["settings"])
    return component


def _gates(specification: Mapping[str, Any]) -> list[Gate]:
    return [gate for folder in specification["gates"] for gate in read_gates(Path(folder))]


def _refusal(component: Component, broken: list[Gate]) -> str:
    why = "; ".join(
        f"{gate.name} is {gate.value:g}, the limit {gate.limit:g}: {gate.advice}" for gate in broken
    )
    return f"{component.id} is not run, as gates do not hold: {why}"


def _execute(component: Component, specification: Mapping[str, Any]) -> None:
    inputs = {name: Path(folder) for name, folder in specification["inputs"].items()}
    outputs = {name: Path(folder) for name, folder in specification["outputs"].items()}
    with tempfile.TemporaryDirectory() as aside:
        digests = {name: artifact_digest(folder) for name, folder in inputs.items()}
        code = CodeDigests(Path(aside) / "code").of(component).digest
        key = cache_key(key_parts(component, digests, code))
        for folder in outputs.values():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(
                folder / "lineage.json", {"component": type(component).__name__, "cache_key": key}
            )
        log = Path(aside) / "log"
        try:
            metrics = Execution(component, inputs, outputs, log).result(_Lines())
        finally:
            if log.exists():
                with log.open(encoding="utf-8", errors="replace") as file:
                    shutil.copyfileobj(file, sys.stderr)
    print(f"{component.id}: {json.dumps(metrics)}", flush=True)
    decided = Path(specification["decided"])
    decided.mkdir(parents=True, exist_ok=True)
    made = [folder for folder in outputs.values() if (folder / "gates.json").exists()]
    write_gates(decided, [gate for folder in made for gate in read_gates(folder)])


if __name__ == "__main__":
    sys.exit(main(sys.argv))
