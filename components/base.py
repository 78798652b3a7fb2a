"""The component contract: typed artifacts in and out, frozen parameters, an executor.

A component is declared once, as a class, and wired in a recipe by handing the outputs of one to the
inputs of the next, as in TFX. The declaration imports nothing heavy. Its executor is a function

    execute(inputs, outputs, parameters) -> metrics

of input folders, output folders and parameters, and nothing else. The runner calls it in a child
process (`components.child`), so a crash in native code fails one step, and no framework's state leaks
from step to step. The output folders exist and are empty, but for a folder `CHECKPOINT` that an earlier,
interrupted execution with the same cache key may have left; whatever else the executor leaves in them
becomes the artifact, whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TextIO

from components.artifacts import ArtifactType

# In an output folder: what a long execution leaves itself to go on from. Removed once it is done.
CHECKPOINT = ".checkpoint"

# The name under which an executor finds an earlier artifact of its own (see `Component.REUSES`).
PREVIOUS = "previous"

# Metadata of a parameter that says how a step is executed, and never changes what it makes.
EXECUTION_ONLY: Mapping[str, Any] = types.MappingProxyType({"execution_only": True})

# For `Component.PRELOADS`.
TENSORFLOW = ("tensorflow", "tf_keras")

Metrics = dict[str, float]
Inputs = Mapping[str, Path]
Outputs = Mapping[str, Path]


class UserError(Exception):
    """Something the user can put right; the message names the file or flag and the next step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """Which earlier run a component looks back at.

    It is the newest complete run of the recipe in which the same component took something else. So a
    run that changes nothing looks back at what the run before it looked back at, and finds its
    result in the cache.

    Attributes:
        differs: the input of the component whose content must have been another.
        source: if given, only runs that read this folder count.
    """

    differs: str
    source: Path | None = None


@dataclasses.dataclass(frozen=True)
class Channel:
    """A promise of one artifact.

    It is the output of a component, a folder that is already there, or what an earlier run made.

    Attributes:
        type: what kind of artifact it carries.
        producer: id of the component that makes it; empty if none in this run does.
        output: the producer's output name.
        path: the folder, for an artifact from outside.
        history: for one of an earlier run; an optional input, left out if there is none.
    """

    type: ArtifactType
    producer: str = ""
    output: str = ""
    path: Path | None = None
    history: History | None = None


class Component:
    """A step of a pipeline, declared by its class attributes.

    Attributes:
        INPUTS: input name to artifact type; all must be wired.
        OPTIONAL_INPUTS: likewise, but may be left out.
        OUTPUTS: output name to artifact type.
        PARAMETERS: the frozen dataclass of its parameters; every field has a default.
        EXECUTOR: ``module:function`` of the executor, imported only in the child process.
        ALONE: whether it needs the machine for itself, because it uses every core or measures time;
            others may run side by side.
        GATED: whether it runs only if every gate decided before it holds.
        REUSES: an output of which the newest earlier artifact, made by the same code with the same
            parameters from other inputs, is handed to the executor as input `PREVIOUS`, if there is
            one. It may spare work, and must not change what is made; it is not in the cache key.
        PRELOADS: modules that its executor needs and that take seconds to import. The runner keeps a
            process that has them, and forks the step from it (`components.warm`).
    """

    INPUTS: ClassVar[Mapping[str, ArtifactType]] = {}
    OPTIONAL_INPUTS: ClassVar[Mapping[str, ArtifactType]] = {}
    OUTPUTS: ClassVar[Mapping[str, ArtifactType]] = {}
    PARAMETERS: ClassVar[type[Any]]
    EXECUTOR: ClassVar[str]
    ALONE: ClassVar[bool] = True
    GATED: ClassVar[bool] = False
    REUSES: ClassVar[str] = ""
    PRELOADS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Any = None, id: str = "", /, **inputs: Channel) -> None:
        self.id = id or type(self).__name__
        self.parameters = self.PARAMETERS() if parameters is None else parameters
        if not isinstance(self.parameters, self.PARAMETERS):
            raise TypeError(f"{self.id}: parameters must be a {self.PARAMETERS.__name__}")
        allowed = {**self.INPUTS, **self.OPTIONAL_INPUTS}
        for name, channel in inputs.items():
            if name not in allowed:
                raise TypeError(f"{self.id} has no input {name!r}; it has {sorted(allowed)}")
            if channel.type != allowed[name]:
                raise TypeError(
                    f"{self.id}.{name} takes {allowed[name].name}, not {channel.type.name}"
                )
            if channel.history is not None and name in self.INPUTS:
                raise TypeError(f"{self.id}.{name} is needed, and there may be no earlier run")
        missing = sorted(set(self.INPUTS) - set(inputs))
        if missing:
            raise TypeError(f"{self.id}: not wired: {missing}")
        self.inputs: Mapping[str, Channel] = dict(inputs)
        self.outputs: Mapping[str, Channel] = {
            name: Channel(type_, producer=self.id, output=name)
            for name, type_ in self.OUTPUTS.items()
        }

    def check(self, makers: Mapping[str, Component]) -> None:
        """Refuses, before anything runs, what it cannot do with what other components are set to make.

        Nobody trains for an hour to hear it.

        Args:
            makers: the components of the recipe, by id; `inputs` name those that this one takes from.

        Raises:
            UserError: naming the parameter, and what to set instead.
        """

    def named_files(self) -> Mapping[str, str]:
        """Digests of the files of the user's that parameters name: what stands there decides too.

        Raises:
            OSError: if one cannot be read.
        """
        return {}

    def stands(self, outputs: Outputs) -> bool:
        """Whether what an earlier execution did outside its outputs is still there.

        Asked before its outputs are taken from the cache; `outputs` are their folders.
        """
        return True


def deciding(parameters: Any) -> dict[str, Any]:
    """The parameters that decide what a component makes, by name; see `EXECUTION_ONLY`."""
    values = dataclasses.asdict(parameters)
    return {
        field.name: values[field.name]
        for field in dataclasses.fields(parameters)
        if not field.metadata.get("execution_only")
    }


class Progress:
    """Tells how far a step is; the runner turns it into a bar with the time left.

    Events are JSON lines on the stream that the runner reads; without a runner they go nowhere.
    """

    stream: ClassVar[TextIO | None] = None

    def __init__(self, total: float, unit: str) -> None:
        self._total = total
        self._unit = unit
        self._last = 0.0

    def at(self, done: float, note: str = "") -> None:
        """Says that `done` of the total is done; calls within 0.2 s of the last are dropped."""
        now = time.monotonic()
        if self.stream is None or (now - self._last < 0.2 and done < self._total):
            return
        self._last = now
        event = {"done": done, "total": self._total, "unit": self._unit, "note": note}
        print(json.dumps({"progress": event}), file=self.stream, flush=True)


def warn(message: str) -> None:
    """Shows the user a warning from inside a step without stopping it."""
    if Progress.stream is None:
        print(f"warning: {message}", file=sys.stderr)
    else:
        print(json.dumps({"warning": message}), file=Progress.stream, flush=True)
