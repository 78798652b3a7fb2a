"""The summaries of shards, merged in their order to the statistics of all, whatever the examples are of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, Self


class Slice(Protocol):
    """What is counted of some of the examples; such a class makes an empty one without arguments."""

    def merge(self, other: Self, /) -> None:
        """Adds what `other` has counted."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        ...

    @classmethod
    def from_json(cls, content: dict[str, Any], /) -> Self:
        """The slice that `to_json` gave, before or after JSON."""
        ...


def merge(
    slice_type: type[Slice], splits: Sequence[str], summaries: Iterable[Any]
) -> dict[str, Any]:
    """The statistics of all shards: ``splits``, ``speakers`` and ``duplicates`` of ``statistics.json``.

    Args:
        slice_type: of what the summaries hold.
        splits: of which split each shard is.
        summaries: of each shard, {"slices": {label: Slice}, "clips": [(digest of what was decoded, or
            empty where the like of it is no copy; label; speaker, or empty; path)]}.
    """
    slices: dict[str, dict[str, Slice]] = defaultdict(lambda: defaultdict(slice_type))
    speakers: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    copies: dict[str, list[dict[str, str]]] = defaultdict(list)
    for split, summary in zip(splits, summaries, strict=True):
        for label, content in summary["slices"].items():
            slices[split][label].merge(slice_type.from_json(content))
        for digest, label, speaker, path in summary["clips"]:
            if speaker:
                seen = speakers[speaker].setdefault(split, {"clips": 0, "path": path})
                seen["clips"] += 1
                seen["path"] = min(seen["path"], path)
            if digest:
                clip = {"split": split, "label": label, "speaker": speaker, "path": path}
                copies[digest].append(clip)
    duplicates = [sorted(c, key=lambda clip: clip["path"]) for c in copies.values() if len(c) > 1]
    return {
        "splits": {
            split: {
                "speakers": sum(split in places for places in speakers.values()),
                "all": _whole(slice_type, by_label),
                "labels": {label: s.to_json() for label, s in by_label.items()},
            }
            for split, by_label in slices.items()
        },
        "speakers": speakers,
        "duplicates": sorted(duplicates, key=lambda clips: clips[0]["path"]),
    }


def _whole(slice_type: type[Slice], by_label: Mapping[str, Slice]) -> dict[str, Any]:
    whole = slice_type()
    for label in sorted(by_label):
        whole.merge(by_label[label])
    return whole.to_json()
