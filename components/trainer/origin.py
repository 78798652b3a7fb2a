"""Which Trainer a model comes from, by the wiring of a recipe."""

from __future__ import annotations

from collections.abc import Mapping

from components.base import Component
from components.trainer.component import Trainer


def trainer_of(component: Component, name: str, makers: Mapping[str, Component]) -> Trainer | None:
    """The Trainer that the model at input `name` comes from, through the steps between.

    Args:
        component: who takes the model.
        name: of its input.
        makers: the components of the recipe, by id.
    """
    maker = makers.get(component.inputs[name].producer)
    if maker is None or isinstance(maker, Trainer):
        return maker
    return trainer_of(maker, "model", makers) if "model" in maker.inputs else None
