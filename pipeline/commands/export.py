"""``export BUNDLE --to FORMAT DIR``: a bundle as sources for a device without the agent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.export.catalogue import FORMATS

NAME = "export"
SUMMARY = "write a bundle as sources for a device that does not run the agent"
DESCRIPTION = """\
Writes a bundle as sources. c: for TensorFlow Lite for Microcontrollers, a C array and header a model, the
exact list of operators, the arena's size with a margin, features, labels and detection policy, golden
vectors, and an example that runs them. esphome: for micro wake word, a streaming model and a manifest a
word. The folder is written whole or not at all; it must be new, empty,
or an earlier export that nobody changed."""
EXAMPLES = """\
  python -m pipeline export var/latest.bundle --to c firmware/keywords
  python -m pipeline export var/latest.bundle --to esphome esphome/models"""


def add_arguments(parser: Any) -> None:
    """Declares the arguments."""
    parser.add_argument("bundle", metavar="BUNDLE", help="the bundle, e.g. var/latest.bundle")
    parser.add_argument("--to", required=True, choices=sorted(FORMATS), help="the form")
    parser.add_argument("folder", metavar="DIR", help="folder to write")


def run(arguments: argparse.Namespace) -> int:
    """Writes the folder."""
    from components.base import UserError
    from edge_agent.bundle import archive
    from pipeline.export.folder import write_export

    try:
        bundle = archive.read(Path(arguments.bundle))
    except archive.BundleError as e:
        raise UserError(str(e)) from e
    files = FORMATS[arguments.to](bundle)
    write_export(
        Path(arguments.folder),
        files,
        format=arguments.to,
        bundle=bundle.digest,
        name=bundle.manifest.name,
    )
    print(f"{len(files)} files in {arguments.folder}: see README.md there")
    return 0
