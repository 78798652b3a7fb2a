"""Which recordings a folder holds, and what its lists say.

The layout is that of Speech Commands: one folder a label, directly under the top, with the
recordings directly in it. ``_background_noise_`` holds long recordings without the words;
``_unknown_`` (other words) and ``_silence_`` (no word) are labels like any other. Hidden files and
folders are not looked at.

Who speaks is told by the name: the part before ``_nohash_``, and of that what follows the last
underscore, so that ``yes/0a1b2c3d_nohash_1.wav`` and ``_unknown_/bed_0a1b2c3d_nohash_0.wav`` are
one speaker. A file without ``_nohash_`` is its own speaker, named by the file name without its
extension: ``yes/anna.wav`` and ``no/anna.wav`` are one speaker. In ``_silence_``, such a file has
no speaker.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from components.base import UserError
from components.example_gen.problems import Problem
from components.records import BACKGROUND_NOISE, SPLITS
from edge_agent.bundle.manifest import SILENCE

EXTENSIONS = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif"})
_MARK = "_nohash_"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recording:
    """One file.

    Attributes:
        path: relative to the recordings, with ``/``.
        label: its folder.
        speaker: who speaks; empty where nobody does.
    """

    path: str
    label: str
    speaker: str

    @property
    def group(self) -> str:
        """What must not be torn apart by a split: the speaker, or the file if it has none."""
        return self.speaker or self.path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What lies in a folder of recordings.

    Attributes:
        recordings: those of labels, sorted by path; with lists, only those listed.
        noise: paths in ``_background_noise_``, sorted.
        listed: the split of each recording by path, where there are lists.
        problems: what stops the run.
        warnings: what is left out.
    """

    recordings: Sequence[Recording]
    noise: Sequence[str]
    listed: Mapping[str, str] | None
    problems: Sequence[Problem]
    warnings: Sequence[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Medium:
    """What is looked for.

    Attributes:
        extensions: lower-case endings of the files' names.
        kinds: the same for people.
        noun: what many of them are called.
        such_as: a path for an example.
        named: the recording at a relative path, by its name alone.
    """

    extensions: frozenset[str]
    kinds: str
    noun: str
    such_as: str
    named: Callable[[str], Recording]


def discover(root: Path, medium: Medium | None = None) -> Found:
    """Looks through the folder `root` for what `medium` says (sound), without opening a file.

    Raises:
        UserError: if there is no such folder, or no recording in it.
    """
    medium = medium or SOUND
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "there is no such folder"
        raise UserError(f"{root}: {what}: give the folder that holds one folder a label")
    problems: list[Problem] = []
    warnings: list[str] = []
    paths: list[str] = []
    for folder in sorted(p for p in _children(root) if p.is_dir()):
        paths += _recordings_in(folder, root, medium, problems, warnings)
    if not paths:
        raise UserError(
            f"{root}: holds no {medium.noun}: put them into one folder a label, such as "
            f"{medium.such_as} ({medium.kinds})"
        )
    noise = [path for path in paths if _label(path) == BACKGROUND_NOISE]
    spoken = [path for path in paths if _label(path) != BACKGROUND_NOISE]
    listed = _read_lists(root, frozenset(spoken), medium, problems)
    if listed is not None:
        left_out = [path for path in spoken if path not in listed]
        if left_out:
            warnings.append(
                f"{root}: {len(left_out)} {medium.noun} are in none of the lists and are left out, "
                f"such as {left_out[0]}"
            )
        spoken = [path for path in spoken if path in listed]
    return Found(
        recordings=[medium.named(path) for path in spoken],
        noise=noise,
        listed=listed,
        problems=problems,
        warnings=warnings,
    )


def recording(path: str) -> Recording:
    """The recording at the relative `path`, by its name alone."""
    name = PurePosixPath(path).name
    while PurePosixPath(name).suffix.lower() in EXTENSIONS:
        name = PurePosixPath(name).stem
    label = _label(path)
    before, mark, _ = name.partition(_MARK)
    speaker = before.rpartition("_")[2] if mark else ""
    if not speaker and label != SILENCE:
        speaker = name
    return Recording(path=path, label=label, speaker=speaker)


def is_named(path: str) -> bool:
    """Whether the file name says who speaks, rather than only standing for a speaker."""
    return _MARK in PurePosixPath(path).name


SOUND = Medium(
    extensions=EXTENSIONS,
    kinds="wav, flac, ogg, mp3 or aiff",
    noun="recordings",
    such_as="yes/anna.wav",
    named=recording,
)


def _recordings_in(
    folder: Path, root: Path, medium: Medium, problems: list[Problem], warnings: list[str]
) -> list[str]:
    paths: list[str] = []
    others: Counter[str] = Counter()
    for child in sorted(_children(folder)):
        path = child.relative_to(root).as_posix()
        if child.is_dir():
            others["folders within it"] += 1
        elif child.suffix.lower() not in medium.extensions:
            others[f"files that are not {medium.kinds}"] += 1
        elif not _is_unicode(path):
            problems.append(Problem(ascii(path), "its name is not UTF-8", "give it another name"))
        else:
            paths.append(path)
    for what, count in sorted(others.items()):
        if paths or what.startswith("folders"):
            warnings.append(f"{folder}: {count} {what} are left out")
    if not paths and not others:
        warnings.append(f"{folder}: holds no {medium.noun} and is left out")
    return paths


def _read_lists(
    root: Path, spoken: frozenset[str], medium: Medium, problems: list[Problem]
) -> dict[str, str] | None:
    files = {split: root / f"{split}.txt" for split in SPLITS}
    missing = [path.name for path in files.values() if not path.is_file()]
    if len(missing) == len(files):
        return None
    for name in missing:
        problems.append(
            Problem(name, "is missing beside the other lists", "add it, or remove all the lists")
        )
    splits: dict[str, str] = {}
    for split, file in files.items():
        if file.name not in missing:
            _read_list(file, split, splits, spoken, medium, problems)
    return splits


def _read_list(
    file: Path,
    split: str,
    splits: dict[str, str],
    spoken: frozenset[str],
    medium: Medium,
    problems: list[Problem],
) -> None:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        problems.append(Problem(file.name, "is not a UTF-8 text", "write one path a line"))
        return
    if not any(line.strip() for line in lines):
        problems.append(Problem(file.name, "is empty", "list at least one clip of each label"))
    for number, line in enumerate(lines, start=1):
        path = line.strip()
        where = f"{file.name}, line {number}"
        if not path:
            continue
        if path not in spoken:
            problems.append(
                Problem(
                    where,
                    f"names {path[:200]}, which is not there as label/file ({medium.kinds})",
                    "correct the path or take the line out",
                )
            )
        elif path in splits:
            problems.append(
                Problem(
                    where,
                    f"names {path}, which {splits[path]}.txt names already",
                    "keep it in one list, once",
                )
            )
        else:
            splits[path] = split


def _children(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if not child.name.startswith(".")]
    except PermissionError as e:
        raise UserError(f"{folder}: cannot be read ({e.strerror}): change its permissions") from e


def _label(path: str) -> str:
    return path.partition("/")[0]


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
