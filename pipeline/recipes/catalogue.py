"""Finds a recipe by the name that people use."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType

# Name to the module that holds its `recipe`; imported when wanted, so that no command waits for it.
RECIPES: Mapping[str, str] = {
    "keyword_spotting": "pipeline.recipes.keyword_spotting",
    "anomaly_detection": "pipeline.recipes.anomaly_detection",
    "image_classification": "pipeline.recipes.image_classification",
    "compression_study": "pipeline.recipes.compression_study",
    "word_transfer": "pipeline.recipes.word_transfer",
}


def find(name: str) -> ModuleType:
    """The module of the recipe `name`, which must be one of `RECIPES`."""
    return importlib.import_module(RECIPES[name])
