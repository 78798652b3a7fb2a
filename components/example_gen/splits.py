"""Which split a recording falls into.

Without lists, it is decided by the SHA-256 of the speaker, so a speaker is never in two splits, and
stays where they are when recordings are added. With few speakers a label may so be left without
validation or test clips. Then speakers are moved, in the order of their hash, until every label has
a speaker in every split: always one whose move leaves no other label without, from training first.
A label needs three speakers for that.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from components.example_gen.discovery import Recording
from components.example_gen.problems import Problem
from components.records import SPLITS
from edge_agent.bundle.manifest import SILENCE, UNKNOWN


@dataclasses.dataclass(frozen=True)
class Division:
    """The split of each recording by path, and how many speakers were moved to fill gaps."""

    split_of: Mapping[str, str]
    moved: int
    problems: Sequence[Problem]


def check_labels(recordings: Sequence[Recording]) -> list[Problem]:
    """The problems of a set of labels from which no keyword model can be made."""
    labels = {recording.label for recording in recordings}
    keywords = labels - {SILENCE, UNKNOWN}
    if keywords and len(labels - {SILENCE}) >= 2:
        return []
    words = sorted(labels - {SILENCE})
    what = f"holds words in one folder only ({words[0]})" if words else "holds no words"
    return [
        Problem(
            "the set of recordings",
            what,
            f"give at least two folders of words: keywords, or one keyword and {UNKNOWN}",
        )
    ]


def by_speaker(
    recordings: Sequence[Recording], *, val_percent: float, test_percent: float
) -> Division:
    """Divides `recordings` by the hash of their speakers; see the module."""
    groups_of: dict[str, set[str]] = defaultdict(set)
    labels_of: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        groups_of[recording.label].add(recording.group)
        labels_of[recording.group].add(recording.label)
    place = {group: _hash(group) for group in labels_of}
    split_of = {}
    for group, at in place.items():
        percent = at / 2**64 * 100
        in_test = percent < val_percent + test_percent
        split_of[group] = "val" if percent < val_percent else "test" if in_test else "train"
    before = dict(split_of)
    problems = []
    for label in sorted(groups_of, key=lambda label: (len(groups_of[label]), label)):
        groups = sorted(groups_of[label], key=lambda group: (place[group], group))
        if not _fill(label, groups, groups_of, labels_of, split_of):
            problems.append(_too_few(label, len(groups), recordings))
    moved = sum(before[group] != split for group, split in split_of.items())
    splits = {recording.path: split_of[recording.group] for recording in recordings}
    return Division(splits, moved, problems)


def by_lists(recordings: Sequence[Recording], listed: Mapping[str, str]) -> Division:
    """Divides `recordings` as `listed` says (split by path)."""
    found: dict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        found[recording.label].add(listed[recording.path])
    problems = []
    for label, splits in sorted(found.items()):
        lacking = [f"{split}.txt" for split in SPLITS if split not in splits]
        if lacking:
            problems.append(
                Problem(
                    f"label {label}",
                    f"has no clip in {' and '.join(lacking)}",
                    "list clips of every label in all three lists",
                )
            )
    return Division(listed, 0, problems)


def _fill(
    label: str,
    groups: Sequence[str],
    groups_of: Mapping[str, set[str]],
    labels_of: Mapping[str, set[str]],
    split_of: dict[str, str],
) -> bool:
    """Moves groups until `label` is in every split; False if that cannot be had."""

    def left(of: str, split: str) -> int:
        return sum(split_of[group] == split for group in groups_of[of])

    for wanted in ("test", "val", "train"):
        if left(label, wanted):
            continue
        for source in ("train", "test", "val"):
            movable = (
                group
                for group in groups
                if split_of[group] == source
                and all(left(other, source) >= 2 for other in labels_of[group])
            )
            group = next(movable, None)
            if group is not None:
                split_of[group] = wanted
                break
        else:
            return False
    return True


def _too_few(label: str, speakers: int, recordings: Sequence[Recording]) -> Problem:
    clips = Counter(recording.label for recording in recordings)[label]
    return Problem(
        f"label {label}",
        f"{clips} clip{'s' if clips > 1 else ''} of {speakers} "
        f"speaker{'s' if speakers > 1 else ''} cannot be divided into {', '.join(SPLITS)} without "
        "having a speaker in two of them",
        "record at least three speakers a label (speaker_nohash_1.wav), or write the lists "
        "train.txt, val.txt and test.txt",
    )


def _hash(group: str) -> int:
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")
