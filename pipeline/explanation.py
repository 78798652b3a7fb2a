"""What a run would do, and why: for each step a hit, or which part of its key has changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.base import Component
from pipeline import keys
from pipeline.lineage.store import CachedArtifact, LineageStore, PastExecution
from pipeline.recipe import Recipe
from pipeline.resolution import Resolution

_ABSENT = "absent"
_NEVER = "it has never run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepExplanation:
    """What a run would do with one step.

    Attributes:
        name: id of its component.
        hit: whether its outputs would come from the cache.
        changed: if not, why: what differs from the last time that it ran.
    """

    name: str
    hit: bool
    changed: tuple[str, ...]


def explain(recipe: Recipe, root: Path, store: LineageStore) -> list[StepExplanation]:
    """What a run of `recipe` would do with each of its steps; nothing is run."""
    resolution = Resolution(recipe, root, store)
    made: dict[str, CachedArtifact] = {}
    explained = []
    for component in recipe.components:
        step, outputs = _explain(component, recipe, store, resolution, made)
        explained.append(step)
        made |= {f"{component.id}.{name}": artifact for name, artifact in outputs.items()}
    resolution.save()
    return explained


def _explain(
    component: Component,
    recipe: Recipe,
    store: LineageStore,
    resolution: Resolution,
    made: Mapping[str, CachedArtifact],
) -> tuple[StepExplanation, Mapping[str, CachedArtifact]]:
    past = store.latest_execution(recipe.name, component.id)
    anew = [
        f"inputs.{name}: {channel.producer} runs first"
        for name, channel in component.inputs.items()
        if channel.producer and f"{channel.producer}.{channel.output}" not in made
    ]
    if anew:
        known = keys.key_parts(component, {}, resolution.code(component).digest)
        changed = _without_inputs(past, known, resolution.code_changes(component, past))
        return StepExplanation(name=component.id, hit=False, changed=(*changed, *anew)), {}
    inputs = resolution.inputs(component, made)
    parts = resolution.key_parts(component, inputs)
    found = resolution.cached(component, keys.cache_key(parts))
    if found.execution is not None:
        outputs = found.execution.outputs
        return StepExplanation(name=component.id, hit=True, changed=()), outputs
    if found.damaged:
        changed = [f"outputs: {found.damaged}"]
    elif past is None:
        changed = [_NEVER]
    else:
        changed = list(differences(past.key_parts, parts))
        changed += resolution.code_changes(component, past)
    return StepExplanation(name=component.id, hit=False, changed=tuple(changed)), {}


def _without_inputs(
    past: PastExecution | None, parts: Mapping[str, Any], code_changes: list[str]
) -> list[str]:
    if past is None:
        return [_NEVER]
    before = {**past.key_parts, "inputs": {}}
    return [*differences(before, {**parts, "inputs": {}}), *code_changes]


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two keys' parts, each as ``part.name: before -> now``.

    Digests are cut short; of the code only that it differs is known here.
    """
    for part in ("type", "parameters", "inputs", "environment"):
        old, new = before.get(part, {}), now.get(part, {})
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            if old != new:
                yield f"{part}: {_shown(part, old)} -> {_shown(part, new)}"
            continue
        for name in sorted(old.keys() | new.keys()):
            one, other = old.get(name, _ABSENT), new.get(name, _ABSENT)
            if one != other:
                yield f"{part}.{name}: {_shown(part, one)} -> {_shown(part, other)}"


def _shown(part: str, value: object) -> str:
    if isinstance(value, str):
        return value[:12] if part == "inputs" else value
    return json.dumps(value)
