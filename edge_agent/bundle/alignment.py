"""Which bytes of an old bundle stand for which of a new one.

A fine-tuned model has the same tensors with slightly other values, perhaps at other places in the
file. A general binary diff looks for equal runs and finds none once most weights have moved by a
step; so tensors are matched by what they are: first by operator and input slot, if shape and type are
the same, then by shape and type alone, in order. New and resized tensors have no counterpart.
"""

from __future__ import annotations

import dataclasses
import difflib
import io
import itertools
import zipfile
from collections import defaultdict
from collections.abc import Iterator

from edge_agent.bundle.constants import Constant, constants
from edge_agent.flatbuffer import StructureError

_HEADER_BYTES, _ENTRY_BYTES, _END_BYTES = 30, 46, 22


@dataclasses.dataclass(frozen=True)
class Segment:
    """`length` bytes of the new file from `new` that stand for those of the old one from `old`."""

    new: int
    old: int
    length: int

    def moved(self, new: int, old: int) -> Segment:
        """The same within files that begin at `new` and `old`."""
        return Segment(self.new + new, self.old + old, self.length)


def align(old: bytes, new: bytes) -> list[Segment]:
    """The segments of the bundle `new`, in its order, that have a counterpart in the bundle `old`."""
    before, after = _layout(old), _layout(new)
    found: list[Segment] = []
    for name, (start, end) in after.items():
        if name not in before:
            continue
        begin, stop = before[name]
        inner = _align_file(name, old[begin:stop], new[start:end])
        found += [segment.moved(start, begin) for segment in inner if segment.length]
    return _joined(sorted(found, key=lambda segment: segment.new))


def _joined(segments: list[Segment]) -> list[Segment]:
    """The same bytes by as few segments as can be: those that follow each other in both files are one."""
    joined: list[Segment] = []
    for one in segments:
        last = joined[-1] if joined else Segment(0, 0, 0)
        if (last.new + last.length, last.old + last.length) == (one.new, one.old):
            joined[-1:] = [Segment(last.new, last.old, last.length + one.length)]
        else:
            joined.append(one)
    return joined


def _layout(bundle: bytes) -> dict[str, tuple[int, int]]:
    """Name to (start, end) of each file in a bundle; ``name:header`` and ``name:entry`` are ZIP's."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        infos, entry = archive.infolist(), archive.start_dir
    found: dict[str, tuple[int, int]] = {}
    for info in infos:
        name_bytes = len(info.filename.encode())
        start = info.header_offset + _HEADER_BYTES + name_bytes
        found[f"{info.filename}:header"] = (info.header_offset, start)
        found[info.filename] = (start, start + info.file_size)
        found[f"{info.filename}:entry"] = (entry, entry + _ENTRY_BYTES + name_bytes)
        entry += _ENTRY_BYTES + name_bytes
    found[":end"] = (entry, entry + _END_BYTES)
    return found


def _align_file(name: str, old: bytes, new: bytes) -> list[Segment]:
    if name.endswith(".tflite"):
        try:
            return _align_models(old, new)
        except StructureError:
            pass  # as any other file
    if len(old) == len(new):
        return [Segment(0, 0, len(new))]
    if name.endswith((".json", ".md")):
        return list(_align_lines(old.splitlines(keepends=True), new.splitlines(keepends=True)))
    return []


def _align_lines(old: list[bytes], new: list[bytes]) -> Iterator[Segment]:
    starts_old, starts_new = _starts(old), _starts(new)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for block in matcher.get_matching_blocks():
        start, end = starts_new[block.b], starts_new[block.b + block.size]
        yield Segment(start, starts_old[block.a], end - start)


def _starts(lines: list[bytes]) -> list[int]:
    places = [0]
    for line in lines:
        places.append(places[-1] + len(line))
    return places


def _align_models(old: bytes, new: bytes) -> list[Segment]:
    matched = sorted(
        (Segment(b.start, a.start, b.bytes) for a, b in match(constants(old), constants(new))),
        key=lambda segment: segment.new,
    )
    ends = [Segment(0, 0, 0), *matched, Segment(len(new), len(old), 0)]
    between = []
    for one, other in itertools.pairwise(ends):
        start_new, start_old = one.new + one.length, one.old + one.length
        if other.new - start_new == other.old - start_old > 0:
            between.append(Segment(start_new, start_old, other.new - start_new))
    return matched + between


def match(old: list[Constant], new: list[Constant]) -> list[tuple[Constant, Constant]]:
    """The constants of an old model and of a new one that stand for each other."""
    by_place = {(c.place, c.form, c.bytes): c for c in old}
    pairs: list[tuple[Constant, Constant]] = []
    rest: list[Constant] = []
    taken: set[int] = set()
    for constant in new:
        same = by_place.get((constant.place, constant.form, constant.bytes))
        if same is None:
            rest.append(constant)
        else:
            pairs.append((same, constant))
            taken.add(same.start)
    by_form: dict[tuple[tuple[int, ...], int], list[Constant]] = defaultdict(list)
    for constant in reversed(old):
        if constant.start not in taken:
            by_form[constant.form, constant.bytes].append(constant)
    for constant in rest:
        if same_form := by_form.get((constant.form, constant.bytes)):
            pairs.append((same_form.pop(), constant))
    return pairs
