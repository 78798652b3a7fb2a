"""``python -m edge_agent classify``: says what pictures show."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge_agent.commands.bundle_arguments import add_bundle, opened

if TYPE_CHECKING:
    from edge_agent.features.audio import Float32

NAME = "classify"
SUMMARY = "say what pictures show"
DESCRIPTION = """\
Says which of the bundle's labels each picture shows. PGM, PPM and .npy (uint8) are read without
further packages; PNG, JPEG and BMP through Pillow (pip install 'edge_agent[pictures]'). A file's first
bytes say what it is, not its name. Pictures may have any size; the bundle says how they are fitted."""
EXAMPLES = """\
  python -m edge_agent classify --bundle latest.bundle seven.png
  python -m edge_agent classify --bundle latest.bundle frames/*.pgm --json

--json prints a line a picture: {"file": "seven.png", "label": "7", "score": 0.97,
  "scores": {"0": 0.0, ..}}
A picture that cannot be read is named on standard error, the others are classified, and the exit code
is 1."""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_bundle(parser)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a picture")


def run(arguments: argparse.Namespace) -> int:
    """Prints a decision a picture; 1 if one could not be read."""
    from edge_agent.pictures.classifier import PictureClassifier
    from edge_agent.sources.picture import PictureError, read_picture

    show = _json if arguments.json else _text
    unread = 0
    with opened(arguments.bundle) as bundle:
        classifier = PictureClassifier(bundle.manifest, bundle.files, runtime=arguments.runtime)
        for file in arguments.files:
            try:
                pixels = read_picture(file)
            except PictureError as e:
                print(f"error: {e}", file=sys.stderr)
                unread += 1
                continue
            print(show(file, classifier.labels, classifier.classify(pixels)), flush=True)
    return 1 if unread else 0


def _json(file: str, labels: Sequence[str], scores: Float32) -> str:
    best = int(scores.argmax())
    rounded = [round(float(score), 4) for score in scores]
    return json.dumps(
        {
            "file": file,
            "label": labels[best],
            "score": rounded[best],
            "scores": dict(zip(labels, rounded, strict=True)),
        }
    )


def _text(file: str, labels: Sequence[str], scores: Float32) -> str:
    best = int(scores.argmax())
    return f"{file}: {labels[best]} ({scores[best]:.2f})"
