"""The formats that ``export --to`` knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_agent.bundle.archive import Bundle

# From a bundle to file names and contents; equal bundles give equal files. Raises UserError for a
# bundle that the format has no form for.
Export = Callable[["Bundle"], Mapping[str, bytes]]


def _c(bundle: Bundle) -> Mapping[str, bytes]:
    from pipeline.export.c_sources import c_sources

    return c_sources(bundle)


def _esphome(bundle: Bundle) -> Mapping[str, bytes]:
    from pipeline.export.esphome import esphome

    return esphome(bundle)


FORMATS: dict[str, Export] = {"c": _c, "esphome": _esphome}
