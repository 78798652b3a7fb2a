"""What every benchmark gives: a table for people, and the same as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure beside the one it is held against, from the same run where it is a peer's."""

    figure: str
    ours: float
    peer: float
    unit: str


def publish(name: str, figures: Sequence[Figure]) -> None:
    """Prints `figures` and writes them to ``var/bench/NAME.json``."""
    rows = [
        {**dataclasses.asdict(f), "ratio": f.ours / f.peer if f.peer else None} for f in figures
    ]
    print(f"{'figure':58} {'ours':>12} {'peer':>12} {'ratio':>7}  unit")
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
        print(
            f"{row['figure']:58} {row['ours']:12.4f} {row['peer']:12.4f} {ratio:>7}  {row['unit']}"
        )
    folder = TOP / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def data_folder(name: str) -> Path:
    """A folder of the development data.

    Raises:
        SystemExit: if it is not there.
    """
    folder = Path(os.environ.get("EDGE_DATA", TOP.parent / "shared" / "data")) / name
    if not folder.is_dir():
        raise SystemExit(f"{folder}: not there; set EDGE_DATA to the folder that holds {name}")
    return folder.resolve()
