"""``python -m edge_agent enroll``: teaches this device a word, or how somebody says a known one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.bundle_arguments import opened
from edge_agent.commands.device_arguments import add_device, device_folder, keyword_bundle
from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.adaptation.lessons import Lesson

NAME = "enroll"
SUMMARY = "teach this device a word of your own, or a speaker's voice"
DESCRIPTION = """\
Teaches this device a word from 5 to 20 recordings that each hold it once: a new word, or one that the bundle
knows, as somebody here says it. Only the last layer learns, and the bundle's words are guarded: if more than
1 point would be lost on the bundle's own check set, or the word is not heard in its own recordings, nothing
changes. A daemon that runs takes it up within a second or so. What was taught before stays; recordings of
the same word are replaced. Feature codes of the recordings stay in the device folder, so that the word can be
learned again when a new bundle arrives; no sound is kept."""
EXAMPLES = """\
  python -m edge_agent enroll lamp lamp-*.wav --config agent.toml
  python -m edge_agent enroll stop my-stop-*.wav --root /var/lib/edge-agent --json

--json prints one line:
  {"version": 2, "bundle": .., "words": {"lamp": 8}, "heard": {"lamp": 0.9}, "check_before": 0.92,
   "check_after": 0.92, "distance": 0.04}
heard: share of the recordings that a head hears which was taught by the others of them."""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    parser.add_argument("word", metavar="WORD", help="what the recordings say")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.wav", help="the recordings")
    add_device(parser)
    parser.add_argument(
        "--bundle", type=Path, metavar="B", help="the bundle to teach (default: what runs here)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Learns, keeps the new version, and prints what came of it."""
    from edge_agent.adaptation.adapting import Learner
    from edge_agent.adaptation.errors import AdaptationError
    from edge_agent.adaptation.lessons import read_lesson
    from edge_agent.adaptation.versions import Versions

    root = device_folder(arguments)
    path = arguments.bundle or keyword_bundle(arguments, root)
    versions = Versions(root)
    try:
        with opened(path) as bundle, versions.locked():
            learner = Learner(bundle)
            lesson = read_lesson(arguments.word, arguments.files, learner.classifier)
            lessons = _with(_taught(versions), lesson)
            version = versions.add(bundle.digest, lessons, learner.learn(lessons))
    except AdaptationError as e:
        raise CommandError(str(e)) from e
    said = version.as_json()
    if arguments.json:
        print(json.dumps(said))
    else:
        heard = said["heard"][arguments.word]
        print(f"version {version.number}: {arguments.word!r} from {len(lesson.codes)} recordings")
        print(f"{100 * heard:.0f}% of them are heard by what the others teach")
        print(f"check set: {said['check_before']:.4f} before, {said['check_after']:.4f} now")
        print(f"distance from what was shipped: {said['distance']:.4f}")
    return 0


def _taught(versions: Any) -> tuple[Lesson, ...]:
    number = versions.current()
    return versions.read(number).lessons if number else ()


def _with(taught: tuple[Lesson, ...], lesson: Lesson) -> tuple[Lesson, ...]:
    """`taught` with `lesson` in the place of what was said of its word before."""
    return (*(each for each in taught if each.word != lesson.word), lesson)
