"""What the agent's command line takes, and the help that teaches it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import argparse_flags

_DESCRIPTION = """\
Runs keyword bundles on this device: installs them, tests them, spots words with them."""

_EXAMPLES = """\
examples:
  python -m edge_agent install --repository https://example.org/repository \\
      --trusted-root root.json --root /var/lib/edge_agent keyword_spotting
  python -m edge_agent selftest --bundle latest.bundle
  python -m edge_agent spot --bundle latest.bundle recording.wav
  arecord -q -t raw -f S16_LE -r 16000 | python -m edge_agent spot --bundle latest.bundle - --json
  python -m edge_agent evaluate --bundle latest.bundle --data recordings --list recordings/test.txt

`python -m edge_agent COMMAND --help` says more about each."""

_EVALUATE = """\
Scores a bundle on a folder of recordings, one folder a label (recordings/yes/anna_nohash_0.wav).
Folders that the bundle has no label for count as _unknown_; _background_noise_ is left out unless a
list names its files. Recordings may have any rate and up to 8 channels. The middle of
each decides, as long as the model's window (about a second)."""

_EVALUATE_EXAMPLES = """\
examples:
  python -m edge_agent evaluate --bundle latest.bundle --data recordings
  python -m edge_agent evaluate --bundle latest.bundle --data recordings --list test.txt --json

--json prints one line:
  {"accuracy": 0.9, "n": 296, "per_label": {"yes": {"recall": .., "precision": .., "n": ..}, ..},
   "confusion": {"labels": [..], "counts": [[..], ..]}}   rows: the truth; columns: what was said"""

_SPOT = """\
Finds the bundle's words in a recording or a live stream, and prints each as soon as it is known."""

_SPOT_EXAMPLES = """\
examples:
  python -m edge_agent spot --bundle latest.bundle recording.wav
  python -m edge_agent spot --bundle latest.bundle - --json < recording.wav
  arecord -q -t raw -f S16_LE -r 16000 -c 1 | python -m edge_agent spot --bundle latest.bundle -

--json prints one line a detection: {"time_s": 12.34, "label": "yes", "score": 0.97}
time_s is the middle of the word, in seconds from the beginning of the recording."""

_SELFTEST = """\
Runs the bundle's golden vectors on the runtime that is installed here, and says whether the model
gives what it gave where it was built."""

_INSTALL = """\
Fetches a release through TUF, checks it against the trusted root, tests it here, and makes it the
bundle that runs. The trusted root comes with the device, never from the repository."""

_INSTALL_EXAMPLES = """\
examples:
  python -m edge_agent install --repository https://example.org/repository \\
      --trusted-root root.json --root /var/lib/edge_agent keyword_spotting
  python -m edge_agent install --repository var/repository --trusted-root var/root.json \\
      --root device keyword_spotting==1.0.2"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments of the command that `argv` names; its ``command`` says which.

    Prints the help or what is wrong, and exits, if there is nothing to run.
    """
    flags.FLAGS(argv[:1])
    arguments: argparse.Namespace = _parser().parse_args(argv[1:])
    return arguments


def _parser() -> argparse_flags.ArgumentParser:
    parser = _texts(
        argparse_flags.ArgumentParser, _DESCRIPTION, _EXAMPLES, prog="python -m edge_agent"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    evaluate = _texts(
        commands.add_parser, _EVALUATE, _EVALUATE_EXAMPLES,
        name="evaluate", help="score a bundle on a folder of recordings",
    )  # fmt: skip
    _add_bundle(evaluate)
    evaluate.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="folder with a folder a label"
    )
    evaluate.add_argument(
        "--list", type=Path, metavar="FILE", help="take these alone: label/file.wav, one a line"
    )
    evaluate.set_defaults(command="evaluate")

    spot = _texts(
        commands.add_parser, _SPOT, _SPOT_EXAMPLES,
        name="spot", help="find words in a recording or a live stream",
    )  # fmt: skip
    _add_bundle(spot)
    spot.add_argument(
        "source",
        metavar="FILE.wav|-",
        help="a WAV file, or - for standard input: WAV, or raw 16-bit little-endian mono at 16 kHz",
    )
    spot.set_defaults(command="spot")

    selftest = _texts(
        commands.add_parser, _SELFTEST, "", name="selftest", help="test a bundle on this device"
    )
    _add_bundle(selftest)
    selftest.set_defaults(command="selftest")

    install = _texts(
        commands.add_parser, _INSTALL, _INSTALL_EXAMPLES,
        name="install", help="fetch, check and install a release",
    )  # fmt: skip
    install.add_argument(
        "--repository", required=True, metavar="URL", help="URL or folder of the TUF repository"
    )
    install.add_argument(
        "--trusted-root", required=True, type=Path, metavar="FILE", help="root.json to trust"
    )
    install.add_argument(
        "--root", required=True, type=Path, metavar="DEVICE_DIR", help="folder of this device"
    )
    install.add_argument("request", metavar="NAME[==VERSION]", help="what to install")
    install.add_argument("--json", action="store_true", help="one line of JSON on stdout")
    install.set_defaults(command="install")
    return parser


def _texts(make: Any, description: str, examples: str, **arguments: Any) -> Any:
    return make(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        inherited_absl_flags=None,
        **arguments,
    )


def _add_bundle(parser: Any) -> None:
    parser.add_argument("--bundle", required=True, type=Path, metavar="B", help="the bundle to use")
    parser.add_argument(
        "--runtime",
        choices=("auto", "litert", "tflite_runtime"),
        default="auto",
        help="the interpreter; auto takes LiteRT where it is installed (default: auto)",
    )
    parser.add_argument("--json", action="store_true", help="JSON on stdout")
