"""Where the blocks of a network end, read off its graph, so that no architecture need mark them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from components.base import UserError

_T = TypeVar("_T")
Layer = Any
Pairs = list[tuple[Layer, Layer]]


def block_ends(model: Any) -> list[Layer]:
    """The layers at which a block of `model` ends, in order, without input and classifier.

    All that comes behind such a layer goes through it, and there the graph branches (a shortcut
    begins) or the shape of what all goes through changes.
    """
    consumers = _consumers(model)
    cuts = _cuts(model, consumers)
    ends = []
    for layer, after in zip(cuts, [*cuts[1:], None], strict=True):
        branches = len(consumers[layer.name]) > 1
        changes = after is None or given_by(after).shape[1:] != given_by(layer).shape[1:]
        if (branches or changes) and math.prod(_positions(layer)) > 1:
            ends.append(layer)
    return ends


def evenly(own: Sequence[_T], wanted: Sequence[_T]) -> list[tuple[_T, _T]]:
    """Pairs of `own` and `wanted`, as many as the shorter has; of the longer at even distances."""
    count = min(len(own), len(wanted))
    chosen = [
        [items[math.ceil((i + 1) * len(items) / count) - 1] for i in range(count)]
        for items in (own, wanted)
    ]
    return list(zip(*chosen, strict=True)) if count else []


def pair_blocks(student: Any, teacher: Any) -> Pairs:
    """Which block of `student` learns from which of `teacher`: (student's, teacher's last layer).

    Blocks are alike whose outputs have the same positions (frames, and mel positions where there
    are any); where there are more of them on one side, they are taken at even distances, the last
    among them.

    Raises:
        UserError: if none is alike.
    """
    own, wanted = _by_positions(student), _by_positions(teacher)
    pairs = [
        pair
        for positions, layers in own.items()
        for pair in evenly(layers, wanted.get(positions, []))
    ]
    if not pairs:
        raise UserError(
            "Distiller.hidden_weight: no block of the student gives as many frames and mel positions "
            f"as one of the teacher ({_listed(own)}; teacher {_listed(wanted)}): set it to 0, or train "
            "both with the same architecture"
        )
    return pairs


def pair_attention(student: Any, teacher: Any) -> Pairs:
    """Which attention layer of `student` learns from which of `teacher`, at even distances.

    Raises:
        UserError: if one of them has none, or the pairs differ in their heads or steps.
    """
    own, wanted = (
        [layer for layer in model.layers if type(layer).__name__ == "MultiHeadAttention"]
        for model in (student, teacher)
    )
    for who, layers in (("student", own), ("teacher", wanted)):
        if not layers:
            raise UserError(
                f"Distiller.attention_weight: the {who} has no attention layer: set it to 0, or train "
                "keyword_transformer"
            )
    pairs = evenly(own, wanted)
    for mine, its in pairs:
        maps = [(x.get_config()["num_heads"], given_by(x).shape[1]) for x in (mine, its)]
        if maps[0] != maps[1]:
            raise UserError(
                "Distiller.attention_weight: attention of the student has {} heads over {} steps, the "
                "teacher's {} over {}: set it to 0, or give both widths with the same heads (one for "
                "every 16 channels)".format(*maps[0], *maps[1])
            )
    return pairs


def given_by(layer: Layer) -> Any:
    """What `layer` gives in its network, whatever it was called with since."""
    return layer.get_output_at(0)


def _cuts(model: Any, consumers: dict[str, set[str]]) -> list[Layer]:
    """The layers that every path from input to output goes through, in order."""
    order = {layer.name: place for place, layer in enumerate(model.layers)}  # as the graph runs
    reach = 0  # the furthest layer that takes from one before
    found = []
    for place, layer in enumerate(model.layers):
        if place and reach <= place:
            found.append(layer)
        reach = max([reach, *(order[name] for name in consumers[layer.name])])
    return found


def _consumers(model: Any) -> dict[str, set[str]]:
    """By layer, the names of those that take what it gives."""
    found: dict[str, set[str]] = {layer.name: set() for layer in model.layers}
    for layer in model.layers:
        for parent in layer.inbound_nodes[0].parent_nodes:
            found[parent.layer.name].add(layer.name)
    return found


def _positions(layer: Layer) -> tuple[int, ...]:
    """Frames and mel positions of what `layer` gives, without batch and channels."""
    return tuple(given_by(layer).shape[1:-1])


def _by_positions(model: Any) -> dict[tuple[int, ...], list[Layer]]:
    found: dict[tuple[int, ...], list[Layer]] = {}
    for layer in block_ends(model):
        found.setdefault(_positions(layer), []).append(layer)
    return found


def _listed(blocks: dict[tuple[int, ...], list[Layer]]) -> str:
    return ", ".join("x".join(map(str, positions)) for positions in blocks)
