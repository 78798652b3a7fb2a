"""Runs one function over many shards as a Beam pipeline, on any runner.

The shard is the element: a function takes one shard, writes what it makes to files of its own and
returns a small summary, which travels as a file too. So nothing large passes through the runner,
and the result does not depend on which runner it is, on how many workers, or in which order.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from components.base import Progress, UserError
from components.beam_options import pipeline_options

import apache_beam as beam  # isort: skip

S = TypeVar("S")


def run_shards(
    work: Callable[[S], Any],
    shards: Sequence[S],
    *,
    folder: Path,
    beam_options: Sequence[str],
    weights: Sequence[float],
    unit: str,
) -> Iterator[Any]:
    """Runs the pipeline; gives the JSON summaries of `work` for each of `shards`, in their order.

    The summaries are read one by one as they are asked for, so all of them must be.

    Args:
        work: a function of a module, or a partial of one, that workers can import; it returns what
            JSON can hold, and may be called more than once for a shard.
        shards: what it is called with; must pickle.
        folder: absolute, seen by all workers; the summaries lie in it while the pipeline runs.
        beam_options: see `pipeline_options`.
        weights: how much work each shard is, for the progress bar.
        unit: what the weights count.

    Raises:
        UserError: if the options are wrong.
        OSError: if the disk is full.
    """
    options = pipeline_options(beam_options)
    scratch = folder / ".summaries"
    scratch.mkdir()
    try:
        with _progress(scratch, weights, unit):
            _run(options, work, shards, scratch)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return _summaries(scratch, len(shards))


class _Work(beam.DoFn):
    def __init__(self, work: Callable[[Any], Any], scratch: Path) -> None:
        self._work = work
        self._scratch = scratch

    def process(self, element: tuple[int, Any]) -> Iterator[int]:
        index, shard = element
        summary = json.dumps(self._work(shard), allow_nan=False)
        handle, aside = tempfile.mkstemp(dir=self._scratch)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(summary)
        os.replace(aside, _path(self._scratch, index))
        yield index


def _run(options: Any, work: Callable[[Any], Any], shards: Sequence[Any], scratch: Path) -> None:
    try:
        with beam.Pipeline(options=options) as pipeline:
            numbered = pipeline | "Shards" >> beam.Create(list(enumerate(shards)), reshuffle=True)
            _ = numbered | "Work" >> beam.ParDo(_Work(work, scratch))
    except (RuntimeError, OSError) as e:
        # Runners hand on a worker's exception as text.
        for code in (errno.ENOSPC, errno.EDQUOT):
            if f"[Errno {code}]" in str(e):
                raise OSError(code, os.strerror(code), str(scratch.parent)) from e
        raise


@contextmanager
def _progress(scratch: Path, weights: Sequence[float], unit: str) -> Iterator[None]:
    """Tells how far the shards are while the body runs, from the summaries that are there."""
    done = threading.Event()
    progress = Progress(sum(weights), unit)

    def watch() -> None:
        waiting = set(range(len(weights)))
        while not done.wait(0.5):
            waiting = {index for index in waiting if not _path(scratch, index).exists()}
            progress.at(sum(weights) - sum(weights[index] for index in waiting))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    progress.at(sum(weights))


def _summaries(scratch: Path, count: int) -> Iterator[Any]:
    try:
        for index in range(count):
            yield _read(scratch, index)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _read(scratch: Path, index: int) -> Any:
    try:
        return json.loads(_path(scratch, index).read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise UserError(
            f"{scratch.parent}: a worker's results are not there: this folder must be one that all "
            "workers of the Beam runner share"
        ) from e


def _path(scratch: Path, index: int) -> Path:
    return scratch / f"{index:06d}.json"
