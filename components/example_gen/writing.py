"""Writes the shards of an Examples artifact with Beam, and counts what came of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.base import warn
from components.beam_shards import run_shards
from components.example_gen.plan import Shard, speaker_of
from components.example_gen.problems import Problem
from components.example_gen.shard import Earlier
from components.members import ShardMembers, read_members, write_members
from components.records import shard_name


class Totals:
    """Counts the shards as they pass.

    Attributes:
        made: shards that were written anew.
        problems: what their makers said of the files.
    """

    def __init__(self) -> None:
        self.made = 0
        self.problems: list[Problem] = []
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._speakers: dict[str, set[str]] = defaultdict(set)

    def members(self, made: Iterable[tuple[Shard, Any]]) -> Iterator[ShardMembers]:
        """Yields the members of each shard, given what `make_shard` gave for it."""
        for shard, summary in made:
            members = ShardMembers.from_json(summary["members"])
            self.made += summary["made"]
            self.problems += [Problem(*problem) for problem in summary["problems"]]
            self._labels[shard.split].update(members.labels)
            self._speakers[shard.split].update(map(speaker_of, shard.entries))
            yield members

    def splits(self, names: Sequence[str]) -> dict[str, Any]:
        """What ``examples.json`` says of each of the splits `names`."""
        return {
            split: {
                "clips": self._labels[split].total(),
                "labels": dict(self._labels[split]),
                "speakers": len(self._speakers[split] - {""}),
            }
            for split in names
        }


def write_shards(
    make: Callable[[tuple[Shard, Earlier | None]], dict[str, Any]],
    shards: Sequence[Shard],
    *,
    root: Path,
    folder: Path,
    previous: Path | None,
    beam_options: Sequence[str],
    noun: str,
) -> Totals:
    """Makes `shards` and ``members.json`` in `folder`, or takes them over from an earlier artifact.

    Args:
        make: `components.example_gen.shard.make_shard`, but for the shard.
        shards: all of them.
        root: absolute folder of the recordings.
        folder: absolute folder of the artifact.
        previous: that of the earlier one, if there is one.
        beam_options: options of the Beam runner.
        noun: what the entries are called.
    """
    earlier = {} if previous is None else _earlier(previous.resolve())
    summaries = run_shards(
        make,
        [(shard, earlier.get(_name(shard))) for shard in shards],
        folder=folder,
        reads=[root],
        beam_options=beam_options,
        weights=[len(shard.entries) for shard in shards],
        unit=noun,
    )
    totals = Totals()
    write_members(folder, totals.members(zip(shards, summaries, strict=True)))
    return totals


def _earlier(folder: Path) -> dict[str, Earlier]:
    """The shards of an earlier artifact by file name; none if it cannot be read."""
    try:
        return {
            shard.file: Earlier(
                path=folder / shard.file,
                digest=shard.digest,
                made_from=shard.made_from,
                labels=shard.labels,
            )
            for shard in read_members(folder)
        }
    except (OSError, ValueError, KeyError, TypeError) as e:
        warn(f"{folder}: cannot be read ({e}): all shards are made anew")
        return {}


def _name(shard: Shard) -> str:
    return shard_name(shard.split, shard.index, shard.count)
