"""``python -m edge_agent evaluate``: scores a bundle on a folder of recordings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.commands.bundle_arguments import add_bundle, add_learned, learned, opened
from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.keyword.evaluation import Scores

NAME = "evaluate"
SUMMARY = "score a bundle on a folder of recordings"
DESCRIPTION = """\
Scores a bundle on a folder of recordings, one folder a label (recordings/yes/anna_nohash_0.wav).
Folders that the bundle has no label for count as _unknown_; _background_noise_ is left out unless a
list names its files. Recordings may have any rate and up to 8 channels. The middle of
each decides, as long as the model's window (about a second)."""
EXAMPLES = """\
  python -m edge_agent evaluate --bundle latest.bundle --data recordings
  python -m edge_agent evaluate --bundle latest.bundle --data recordings --list test.txt --json

--json prints one line:
  {"accuracy": 0.9, "n": 296, "per_label": {"yes": {"recall": .., "precision": .., "n": ..}, ..},
   "confusion": {"labels": [..], "counts": [[..], ..]}}   rows: the truth; columns: what was said
and, of a bundle with a gate, what that spared:
  "computation": {"windows": .., "classified": .., "gate_macs": .., "classifier_macs": .., "saved": ..}
or, of one with an early exit:
  "computation": {"windows": .., "went_on": .., "trunk_macs": .., "exit_macs": .., "rest_macs": ..,
   "saved": ..}"""


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_bundle(parser)
    add_learned(parser)
    parser.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="folder with a folder a label"
    )
    parser.add_argument(
        "--list", type=Path, metavar="FILE", help="take these alone: label/file.wav, one a line"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the scores."""
    from edge_agent.keyword.evaluation import EvaluationError, evaluate
    from edge_agent.sources.wav import WavError

    with opened(arguments.bundle) as bundle:
        try:
            scores = evaluate(
                bundle,
                arguments.data,
                arguments.list,
                runtime=arguments.runtime,
                head=learned(arguments, bundle),
            )
        except (EvaluationError, WavError) as e:
            raise CommandError(str(e)) from e
    print(json.dumps(scores.as_json()) if arguments.json else "\n".join(_table(scores)))
    return 0


def _table(scores: Scores) -> Iterator[str]:
    width = max(len(label) for label in scores.labels)
    yield f"accuracy {scores.accuracy:.4f} on {scores.n} clips"
    yield ""
    yield f"{'label':<{width}}  recall  precision  clips"
    for label, found in scores.per_label.items():
        yield f"{label:<{width}}  {found.recall:6.3f}  {found.precision:9.3f}  {found.n:5d}"
    yield ""
    columns = "".join(f" {label[:7]:>7}" for label in scores.labels)
    yield f"{'truth / said':<{width}} {columns}"
    for label, row in zip(scores.labels, scores.counts, strict=True):
        yield f"{label:<{width}} " + "".join(f" {count:7d}" for count in row)
    if scores.computation is not None:
        yield ""
        yield scores.computation.as_text()
