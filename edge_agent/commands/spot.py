"""``python -m edge_agent spot``: finds words in a recording or a live stream."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from edge_agent.commands.bundle_arguments import add_bundle, add_learned, learned, opened
from edge_agent.commands.errors import CommandError

if TYPE_CHECKING:
    from edge_agent.sources.wav import Float32

NAME = "spot"
SUMMARY = "find words in a recording or a live stream"
DESCRIPTION = """\
Finds the bundle's words in a recording or a live stream, and prints each as soon as it is known."""
EXAMPLES = """\
  python -m edge_agent spot --bundle latest.bundle recording.wav
  python -m edge_agent spot --bundle latest.bundle - --json < recording.wav
  arecord -q -t raw -f S16_LE -r 16000 -c 1 | python -m edge_agent spot --bundle latest.bundle -

--json prints one line a detection: {"time_s": 12.34, "label": "yes", "score": 0.97}
time_s is the middle of the word, in seconds from the beginning of the recording.
Of a bundle with a gate or an early exit, the last line says what that spared, one of:
  {"computation": {"windows": .., "classified": .., "gate_macs": .., "classifier_macs": .., "saved": ..}}
  {"computation": {"windows": .., "went_on": .., "trunk_macs": .., "exit_macs": .., "rest_macs": ..,
    "saved": ..}}"""

_FILE_BLOCK_S, _LIVE_BLOCK_S = 1.0, 0.1


def add_arguments(parser: Any) -> None:
    """Declares what the command takes."""
    add_bundle(parser)
    add_learned(parser)
    parser.add_argument(
        "source",
        metavar="FILE.wav|-",
        help="a WAV file, or - for standard input: WAV, or raw 16-bit little-endian mono at 16 kHz",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints each detection."""
    from edge_agent.keyword.classifier import KeywordClassifier
    from edge_agent.keyword.spotting import spot_with
    from edge_agent.sources.wav import WavError

    with opened(arguments.bundle) as bundle:
        classifier = KeywordClassifier(
            bundle.manifest,
            bundle.files,
            runtime=arguments.runtime,
            head=learned(arguments, bundle),
        )
        try:
            with _samples(arguments.source) as (rate, blocks):
                for found in spot_with(classifier, rate, blocks):
                    time_s, score = round(found.time_s, 3), round(found.score, 4)
                    if arguments.json:
                        line = {"time_s": time_s, "label": found.label, "score": score}
                        print(json.dumps(line), flush=True)
                    else:
                        print(f"{time_s:10.2f} s  {found.label:<20} {score:.2f}", flush=True)
        except WavError as e:
            raise CommandError(str(e)) from e
    spared = classifier.computation()
    if spared is not None:
        line = {"computation": spared.as_json()}
        print(json.dumps(line) if arguments.json else spared.as_text(), flush=True)
    return 0


@contextlib.contextmanager
def _samples(source: str) -> Iterator[tuple[int, Iterator[Float32]]]:
    """The rate and the blocks of a WAV file, or of standard input for ``-``."""
    from edge_agent.sources.pcm import RAW_RATE, raw_blocks
    from edge_agent.sources.wav import WavReader, open_wav

    if source != "-":
        with open_wav(source) as reader:
            yield reader.format.rate, reader.blocks(round(reader.format.rate * _FILE_BLOCK_S))
        return
    stream: BinaryIO = sys.stdin.buffer
    head = stream.read(4)
    if head == b"RIFF":
        reader = WavReader(stream, "standard input", head=head)
        yield reader.format.rate, reader.blocks(round(reader.format.rate * _LIVE_BLOCK_S))
    else:
        yield RAW_RATE, raw_blocks(stream, round(RAW_RATE * _LIVE_BLOCK_S), head=head)
