"""``lineage TARGET``: where a bundle comes from, and where a recording went."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from components.base import UserError
from pipeline.commands.recipe_arguments import add_root
from pipeline.commands.store_arguments import add_json, open_recorded

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipeline.lineage.find import Found

NAME = "lineage"
SUMMARY = "say what a bundle was made of, or which releases hold a recording or a speaker"
DESCRIPTION = """\
Walks from a bundle or any artifact back to the recordings, parameters, code digests, seeds and metrics
that it follows from; with --forward to what follows from it. From a recording or a --speaker it walks
forward to every artifact, bundle and release that holds them, and says which recipes must be trained
again once they are deleted.
TARGET is a file (known by its content, wherever it lies; by its name where it is gone), an artifact's
folder or id, a release as NAME@VERSION, or the first 12 or more digits of a SHA-256."""
EXAMPLES = """\
  python -m pipeline lineage var/latest.bundle
  python -m pipeline lineage keyword_spotting@1.0.3 --json
  python -m pipeline lineage var/latest.bundle --recordings
      the recordings in it, a line each: path, label, speaker and SHA-256, separated by tabs
  python -m pipeline lineage DIR/yes/0a7c2a8d_nohash_0.wav
      every release that holds this recording
  python -m pipeline lineage --speaker 0a7c2a8d
      delete this speaker everywhere: which models must be trained again?"""


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument("target", nargs="?", metavar="TARGET", help="what to walk from")
    parser.add_argument("--speaker", metavar="NAME", help="walk from this speaker's recordings")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--forward", action="store_true", help="walk to what follows from it, not where it is from"
    )
    how.add_argument(
        "--recordings", action="store_true", help="list the recordings that it follows from"
    )
    add_root(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the walk."""
    from rich.console import Console

    from pipeline.lineage import account
    from pipeline.lineage.find import find, speaker
    from pipeline.ui import lineage_view

    if (arguments.target is None) == (arguments.speaker is None):
        raise UserError("lineage: give a TARGET or a --speaker, one of the two")
    store = open_recorded(arguments)
    try:
        with store.read() as session:
            if arguments.speaker is not None:
                found = speaker(session, arguments.speaker)
            else:
                found = find(session, arguments.target)
            if arguments.recordings:
                _list(session, found, arguments.json)
                return 0
            if found.artifact is None or arguments.forward:
                walked = account.forward(session, found)
                lines = lineage_view.forward_lines(walked)
            else:
                walked = account.backward(session, found.artifact)
                lines = lineage_view.backward_lines(walked)
    finally:
        store.close()
    if arguments.json:
        print(json.dumps(walked, indent=1, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        for line in lines:
            console.print(line, soft_wrap=True)
    return 0


def _list(session: Session, found: Found, as_json: bool) -> None:
    from pipeline.lineage.account import recordings_of

    recordings = recordings_of(session, found)
    if as_json:
        print(json.dumps(recordings, indent=1, ensure_ascii=False))
    else:
        for recording in recordings:
            print(*(recording[k] for k in ("path", "label", "speaker", "digest")), sep="\t")
