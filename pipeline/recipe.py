"""A recipe: components wired into a pipeline, and changes to their parameters by name."""

from __future__ import annotations

import dataclasses
import difflib
import graphlib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from components.base import Channel, Component, UserError


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Components in an order in which every input is made before it is needed.

    Raises:
        UserError: if two components share an id, one takes what nobody makes, or what is made after
            it, or what is made of what it makes itself.
    """

    name: str
    components: tuple[Component, ...]

    def __post_init__(self) -> None:
        by_id = {component.id: component for component in self.components}
        seen: set[str] = set()
        for component in self.components:
            if component.id in seen:
                raise UserError(f"recipe {self.name}: two components are called {component.id}")
            for name, channel in component.inputs.items():
                if channel.producer:
                    self._check(f"{component.id}.{name}", channel, by_id)
            seen.add(component.id)
        self._check_order()

    def _check(self, taker: str, channel: Channel, by_id: Mapping[str, Component]) -> None:
        producer = by_id.get(channel.producer)
        outputs = {} if producer is None else producer.OUTPUTS
        if channel.output not in outputs:
            known = [f"{c.id}.{name}" for c in by_id.values() for name in c.OUTPUTS]
            wanted = f"{channel.producer}.{channel.output}"
            raise UserError(
                f"recipe {self.name}: {taker} takes {wanted}, which nobody makes"
                f"{_suggest(wanted, known)}"
            )

    def _check_order(self) -> None:
        needs = {
            c.id: {i.producer for i in c.inputs.values() if i.producer} for c in self.components
        }
        try:
            tuple(graphlib.TopologicalSorter(needs).static_order())
        except graphlib.CycleError as e:
            circle = " -> ".join(reversed(e.args[1]))
            raise UserError(
                f"recipe {self.name}: each of these is made of the next, in a circle: {circle}"
            ) from e
        seen: set[str] = set()
        for component in self.components:
            late = sorted(needs[component.id] - seen)
            if late:
                raise UserError(f"recipe {self.name}: {component.id} needs {late[0]} before it")
            seen.add(component.id)


def apply_settings(recipe: Recipe, settings: Sequence[str]) -> None:
    """Changes parameters as ``--set Trainer.epochs=40`` asks.

    Values are JSON where they parse (numbers, true, [1, 2]) and text otherwise; a list may also be
    written with commas alone (1,2).

    Raises:
        UserError: for an unknown component or parameter (with the nearest name), or a wrong type.
    """
    by_id = {component.id: component for component in recipe.components}
    wanted: dict[str, dict[str, Any]] = {}
    for setting in settings:
        target, equals, text = setting.partition("=")
        owner, dot, field = target.strip().partition(".")
        if not equals or not dot:
            raise UserError(f"--set {setting}: write it as Component.parameter=value")
        component = by_id.get(owner)
        if component is None:
            raise UserError(f"--set {setting}: no component {owner}{_suggest(owner, by_id)}")
        hints = typing.get_type_hints(component.PARAMETERS)
        if field not in hints:
            raise UserError(
                f"--set {setting}: {owner} has no parameter {field}{_suggest(field, hints)}"
            )
        wanted.setdefault(owner, {})[field] = _value(hints[field], text, setting)
    for owner, values in wanted.items():
        component = by_id[owner]
        # At once: of two that hold for each other, neither need come first.
        try:
            component.parameters = dataclasses.replace(component.parameters, **values)
        except ValueError as e:
            told = " ".join(f"--set {s}" for s in settings if s.strip().startswith(f"{owner}."))
            raise UserError(f"{told}: {e}") from e


def demand_fit(recipe: Recipe) -> None:
    """Asks every component whether it can work with what the others are set to make.

    Raises:
        UserError: naming the component and what does not fit.
    """
    by_id = {component.id: component for component in recipe.components}
    for component in recipe.components:
        component.check(by_id)


def seed_settings(recipe: Recipe, seed: int) -> list[str]:
    """Settings that give `seed` to every component that has a parameter of that name."""
    return [f"{c.id}.seed={seed}" for c in recipe.components if hasattr(c.parameters, "seed")]


def give_beam_options(recipe: Recipe, options: Sequence[str]) -> None:
    """Gives `options` to every component that runs Beam pipelines."""
    for component in recipe.components:
        if hasattr(component.parameters, "beam_options"):
            component.parameters = dataclasses.replace(
                component.parameters, beam_options=tuple(options)
            )


def _suggest(name: str, known: typing.Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"


def _value(type_: Any, text: str, setting: str) -> Any:
    if type_ is str:
        return text
    if typing.get_origin(type_) is tuple and not text.lstrip().startswith("["):
        inner = typing.get_args(type_)[0]
        return tuple(_value(inner, item, setting) for item in text.split(",") if text.strip())
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    try:
        return _typed(type_, value)
    except TypeError as e:
        raise UserError(f"--set {setting}: {e}") from e


def _typed(type_: Any, value: Any) -> Any:
    origin = typing.get_origin(type_)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (type_,) = (a for a in typing.get_args(type_) if a is not type(None))
        return _typed(type_, value)
    if origin is typing.Literal:
        if value not in typing.get_args(type_):
            raise TypeError(f"must be one of {', '.join(map(str, typing.get_args(type_)))}")
        return value
    if origin is tuple:
        inner = typing.get_args(type_)[0]
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is not a list")
        return tuple(_typed(inner, v) for v in value)
    if type_ is float and type(value) is int:
        value = float(value)
    if type(value) is not type_:
        name = getattr(type_, "__name__", str(type_))
        raise TypeError(f"{value!r} is not of type {name}")
    if type_ is float and not math.isfinite(value):
        raise TypeError(f"{value!r} is not a finite number")
    return value
