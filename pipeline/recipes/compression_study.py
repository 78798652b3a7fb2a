"""The compression study's place among the recipes: what a candidate with every step is wired of.

``run`` does not walk it once but gives it to `pipeline.study.study`, which walks shorter ones, many times.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.recipe import Recipe
from pipeline.study.techniques import STEPS
from pipeline.study.wiring import NAME, Source, wire

__all__ = ["NAME", "recipe"]


def recipe(root: Path, data: Path | None, keywords: tuple[str, ...]) -> Recipe:
    """Wires it; arguments as of `pipeline.recipes.keyword_spotting.recipe`."""
    return wire(Source(root=root, data=data, keywords=keywords), STEPS, "release")
