"""The agent's command line: evaluate, spot, selftest, install.

Each command imports what it needs and nothing else, so that a small device starts it quickly.
Exit codes: 0 done, 1 an error that the message explains, 2 a wrong command line, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from absl import app

from edge_agent.command_line import parse

if TYPE_CHECKING:
    from edge_agent.bundle.archive import Bundle
    from edge_agent.keyword.evaluation import Scores
    from edge_agent.sources.wav import Float32

_FILE_BLOCK_S, _LIVE_BLOCK_S = 1.0, 0.1
_INTERRUPTED, _BROKEN_PIPE = 130, 141


class CommandError(Exception):
    """A command cannot do what it was asked; the message is for the user."""


def main(arguments: argparse.Namespace) -> int:
    """Runs the command that was asked for; gives the exit code."""
    # The products of the front end are too small for more threads, which only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        _COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return _BROKEN_PIPE
    except CommandError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except OSError as e:
        _drop_output()
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _drop_output() -> None:
    """Lets nothing that is left in the buffer be written at exit: it could not be before."""
    with Path(os.devnull).open("wb") as sink:
        os.dup2(sink.fileno(), 1)


def _evaluate(arguments: argparse.Namespace) -> None:
    from edge_agent.keyword.evaluation import EvaluationError, evaluate
    from edge_agent.sources.wav import WavError

    with _model_errors(arguments.bundle):
        bundle = _read(arguments.bundle)
        try:
            scores = evaluate(bundle, arguments.data, arguments.list, runtime=arguments.runtime)
        except (EvaluationError, WavError) as e:
            raise CommandError(str(e)) from e
    print(json.dumps(scores.as_json()) if arguments.json else "\n".join(_table(scores)))


def _spot(arguments: argparse.Namespace) -> None:
    from edge_agent.keyword.spotting import spot
    from edge_agent.sources.wav import WavError

    with _model_errors(arguments.bundle):
        bundle = _read(arguments.bundle)
        try:
            with _samples(arguments.source) as (rate, blocks):
                for found in spot(bundle, rate, blocks, runtime=arguments.runtime):
                    time_s, score = round(found.time_s, 3), round(found.score, 4)
                    if arguments.json:
                        line = {"time_s": time_s, "label": found.label, "score": score}
                        print(json.dumps(line), flush=True)
                    else:
                        print(f"{time_s:10.2f} s  {found.label:<20} {score:.2f}", flush=True)
        except WavError as e:
            raise CommandError(str(e)) from e


def _selftest(arguments: argparse.Namespace) -> None:
    from edge_agent import selftest

    with _model_errors(arguments.bundle):
        bundle = _read(arguments.bundle)
        try:
            result = selftest.run(bundle, runtime=arguments.runtime)
        except selftest.SelfTestError as e:
            raise CommandError(f"{arguments.bundle}: {e}") from e
    if arguments.json:
        print(json.dumps(dataclasses.asdict(result)))
    else:
        print(
            f"passed: {result.vectors} vectors on {result.runtime} {result.version}, at most "
            f"{result.max_lsb} steps off ({result.tolerance} allowed)"
        )


def _install(arguments: argparse.Namespace) -> None:
    from edge_agent.update import install
    from edge_agent.update.errors import UpdateError

    try:
        installed = install.run(
            arguments.repository, arguments.trusted_root, arguments.root, arguments.request
        )
    except UpdateError as e:
        raise CommandError(str(e)) from e
    if arguments.json:
        print(json.dumps(installed))
    else:
        for name, value in installed.items():
            print(f"{name}: {value}")


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


def _read(path: Path) -> Bundle:
    from edge_agent.bundle.archive import read

    return read(path)


@contextlib.contextmanager
def _model_errors(bundle: Path) -> Iterator[None]:
    """Turns what may be wrong with a bundle into an error that names it."""
    from edge_agent.bundle.archive import BundleError
    from edge_agent.keyword.classifier import ClassifierError
    from edge_agent.runtime import RuntimeModelError

    try:
        yield
    except BundleError as e:
        raise CommandError(str(e)) from e
    except (ClassifierError, RuntimeModelError) as e:
        raise CommandError(f"{bundle}: {e}") from e


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


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "evaluate": _evaluate,
    "spot": _spot,
    "selftest": _selftest,
    "install": _install,
}


def run() -> None:
    """The entry point: parses the command line, runs the command, and exits."""
    app.run(main, flags_parser=parse)


if __name__ == "__main__":
    run()
