"""Turns a recipe into a Kubeflow pipeline: one component of it for each step.

Each is a lightweight Python component whose function hands its artifacts' paths to
`pipeline.kubeflow.step`. The function is written as text, since Kubeflow reads names and kinds of inputs
and outputs from its signature. Beside its own outputs each step has one, `_DECIDED`, with the gates it
decided; a step that gates guard takes those of all steps before it.
"""

# No `from __future__ import annotations`: Kubeflow reads the annotations of what it compiles.
import dataclasses
import json
import linecache
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from components.base import Channel, Component
from pipeline.recipe import Recipe

_DECIDED = "decided_gates"
_GATES_OF = "gates_of_"
_OUTPUT = "output_"  # a step may have an input of the same name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """Where the steps are to run.

    Attributes:
        image: container image that holds this repository and what requirements.txt lists.
        command: starts `pipeline.kubeflow.step` in it.
        imported: URI of artifacts that Kubeflow fetches, by the path that stands for them in the recipe;
            any other path from outside must be there in each container.
    """

    image: str
    command: tuple[str, ...]
    imported: Mapping[Path, str]


def graph(recipe: Recipe, target: Target) -> Any:
    """The Kubeflow pipeline of `recipe`, with the parameters that its components have now."""

    @dsl.pipeline(name=recipe.name.replace("_", "-"))
    def pipeline() -> None:
        made: dict[Channel, Any] = {}
        decided: dict[str, Any] = {}
        fetched = {path: _importer(uri) for path, uri in target.imported.items()}
        for component in recipe.components:
            guards = decided if component.GATED else {}
            given = {_GATES_OF + snake(id): gates for id, gates in guards.items()}
            fixed: dict[str, str] = {}
            for name, channel in component.inputs.items():
                if channel.history is not None:
                    continue  # there is none when a pipeline is compiled
                if channel.path is None:
                    given[name] = made[channel]
                elif channel.path in fetched:
                    given[name] = fetched[channel.path]
                else:
                    fixed[name] = str(channel.path)
            task = _step(component, target, fixed, list(given))(**given)
            # Kubeflow's cache knows the image by its name only, not the code in it.
            task.set_caching_options(False)
            task.set_display_name(component.id)
            made |= {
                channel: task.outputs[_OUTPUT + name] for name, channel in component.outputs.items()
            }
            decided[component.id] = task.outputs[_DECIDED]

    return pipeline


def write(pipeline: Any, path: Path) -> None:
    """Writes the pipeline's specification, a ``.yaml`` file, whole or not at all."""
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        compiler.Compiler().compile(pipeline, str(aside))
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def snake(name: str) -> str:
    """``TeacherTrainer`` as ``teacher_trainer``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def settings(component: Component) -> list[str]:
    """The component's parameters as ``--set`` takes them, those at their default left out."""
    parameters, default = component.parameters, component.PARAMETERS()
    found = []
    for field in dataclasses.fields(parameters):
        value = getattr(parameters, field.name)
        if value != getattr(default, field.name):
            text = value if isinstance(value, str) else json.dumps(value)
            found.append(f"{component.id}.{field.name}={text}")
    return found


def _importer(uri: str) -> Any:
    return dsl.importer(artifact_uri=uri, artifact_class=dsl.Artifact, reimport=False).output


def _step(
    component: Component, target: Target, fixed: Mapping[str, str], given: Sequence[str]
) -> Callable[..., Any]:
    """The Kubeflow component that takes the artifacts `given`, with the inputs `fixed` as paths."""
    specification = {
        "component": f"{type(component).__module__}:{type(component).__qualname__}",
        "id": component.id,
        "settings": settings(component),
        "inputs": dict(fixed),
        "outputs": {},
        "gates": [],
    }
    lines = [
        f"def {snake(component.id)}(",
        *(f"    {name}: dsl.Input[dsl.Artifact]," for name in given),
        *(f"    {_OUTPUT}{name}: dsl.Output[dsl.Artifact]," for name in component.outputs),
        f"    {_DECIDED}: dsl.Output[dsl.Artifact],",
        "):",
        "    import json",
        "    import subprocess",
        "",
        f"    specification = json.loads({json.dumps(specification)!r})",
        *(
            f'    specification["gates"].append({name}.path)'
            if name.startswith(_GATES_OF)
            else f'    specification["inputs"]["{name}"] = {name}.path'
            for name in given
        ),
        *(
            f'    specification["outputs"]["{name}"] = {_OUTPUT}{name}.path'
            for name in component.outputs
        ),
        f'    specification["decided"] = {_DECIDED}.path',
        f"    code = subprocess.call([*{list(target.command)!r}, json.dumps(specification)])",
        "    if code:",
        "        raise SystemExit(code)",
    ]
    function = _defined(f"<step {component.id}>", "\n".join(lines) + "\n", snake(component.id))
    return dsl.component(function, base_image=target.image, install_kfp_package=False)


def _defined(file: str, source: str, name: str) -> Callable[..., Any]:
    """The function `name` of `source`, which `inspect` finds again."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"dsl": dsl}
    exec(compile(source, file, "exec"), namespace)
    function: Callable[..., Any] = namespace[name]
    return function
