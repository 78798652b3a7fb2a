"""The sweep of `sensitivity` as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table


def sensitivity_table(swept: Mapping[str, Any]) -> Table:
    """A row for each thing that was rounded, that which moves the outputs most first."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{swept['clips']:,} validation clips, float accuracy {swept['accuracy']:.3f}",
        title_justify="left",
    )
    for name in ("layer", "what", "bits"):
        table.add_column(name)
    for name in ("weights", "accuracy lost", "divergence (nats)"):
        table.add_column(name, justify="right")
    for row in swept["layers"]:
        table.add_row(
            escape(row["layer"]),
            row["what"],
            str(row["bits"]),
            f"{row['weights']:,}" if row["weights"] else "",
            f"{100 * row['drop']:+.2f} points",
            f"{row['divergence']:.5f}",
        )
    return table
