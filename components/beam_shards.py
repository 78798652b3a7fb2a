"""Runs one function over many shards as a Beam pipeline, on any runner.

The shard is the element: a function takes one shard, writes what it makes to files of its own and
returns a small summary, which travels as a file too. So nothing large passes through the runner,
and the result does not depend on which runner it is, on how many workers, or in which order.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from components.base import Progress, UserError
from components.beam_options import DASK, pipeline_options
from components.beam_workers import DIED

import apache_beam as beam  # isort: skip
from apache_beam.options.pipeline_options import StandardOptions  # isort: skip

_TRIES = 3
_NOT_SHARED = re.compile("the worker does not see <(.*?)>")

S = TypeVar("S")


def run_shards(
    work: Callable[[S], Any],
    shards: Sequence[S],
    *,
    folder: Path,
    reads: Sequence[Path],
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
        reads: absolute folders that `work` reads, seen by all workers.
        beam_options: see `pipeline_options`.
        weights: how much work each shard is, for the progress bar.
        unit: what the weights count.

    Raises:
        UserError: if the options are wrong, the runner cannot be reached, a worker does not see a
            folder, or worker processes die again and again.
        OSError: if the disk is full.
    """
    options = pipeline_options(beam_options)
    if options.view_as(StandardOptions).runner == DASK:
        from components.beam_dask import check_cluster

        check_cluster(options, [folder, *reads])
    scratch = folder / ".summaries"
    scratch.mkdir()
    do = _Work(work, scratch, [folder, *reads])
    try:
        with _progress(scratch, weights, unit):
            _run(options, do, list(enumerate(shards)), scratch)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return _summaries(scratch, len(shards))


class _Work(beam.DoFn):
    def __init__(self, work: Callable[[Any], Any], scratch: Path, folders: Sequence[Path]) -> None:
        self._work = work
        self._scratch = scratch
        self._folders = folders

    def process(self, element: tuple[int, Any]) -> Iterator[int]:
        index, shard = element
        for folder in self._folders:
            if not folder.is_dir():
                raise RuntimeError(f"the worker does not see <{folder}>")
        summary = json.dumps(self._work(shard), allow_nan=False)
        handle, aside = tempfile.mkstemp(dir=self._scratch)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(summary)
        os.replace(aside, _path(self._scratch, index))
        yield index


def _run(options: Any, do: _Work, left: list[tuple[int, Any]], scratch: Path) -> None:
    """Runs `do` over the numbered shards; what a dead worker process leaves is tried again."""
    for _ in range(_TRIES):
        try:
            _run_once(options, do, left, scratch)
            return
        except RuntimeError as e:
            if DIED not in str(e):
                raise
            left = [(index, shard) for index, shard in left if not _path(scratch, index).exists()]
            reason = e
    raise UserError(
        f"{DIED}, {_TRIES} times ({reason}): is there memory enough? Use fewer of them "
        "(--direct_num_workers)"
    ) from reason


def _run_once(options: Any, do: _Work, shards: list[tuple[int, Any]], scratch: Path) -> None:
    pipeline = beam.Pipeline(options=options)
    try:
        with pipeline:
            numbered = pipeline | "Shards" >> beam.Create(shards, reshuffle=True)
            _ = numbered | "Work" >> beam.ParDo(do)
    except (RuntimeError, OSError) as e:
        # Runners hand on a worker's exception as text.
        for code in (errno.ENOSPC, errno.EDQUOT):
            if f"[Errno {code}]" in str(e):
                raise OSError(code, os.strerror(code), str(scratch.parent)) from e
        if hidden := _NOT_SHARED.search(str(e)):
            raise _not_shared(Path(hidden[1])) from e
        raise
    finally:
        # Dask's runner leaves its connection open, and with it what is still to be done there.
        if client := getattr(getattr(pipeline, "result", None), "client", None):
            client.close()


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
        raise _not_shared(scratch.parent) from e


def _not_shared(folder: Path) -> UserError:
    return UserError(
        f"{folder}: a worker of the Beam runner does not see this folder: it must be one that all "
        "workers share, at the same path"
    )


def _path(scratch: Path, index: int) -> Path:
    return scratch / f"{index:06d}.json"
