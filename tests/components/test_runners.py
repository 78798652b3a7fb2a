"""The data-parallel steps give the same bytes on every runner, and lose nothing when workers die."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import soundfile

import components.example_gen.executor as example_gen
import components.statistics_gen.executor as statistics_gen
import components.transform.executor as transform
from components.base import UserError
from components.beam_shards import run_shards
from components.example_gen.component import ExampleGenParameters
from components.statistics_gen.component import StatisticsGenParameters
from components.transform.component import TransformParameters
from tests.fixtures.stopping_shard import stop_once

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
RATE = 16_000
_TRANSFORMED = re.compile(r"✓ \[ *\d+/\d+\] Transform")
LABELS = ("_silence_", "_unknown_", "no", "yes")
IN_MEMORY = ("--runner=DirectRunner", "--direct_num_workers=1")
TWO_PROCESSES = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


@contextmanager
def process(
    *arguments: str, output: int | BinaryIO = subprocess.DEVNULL, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that finds this checkout, ended with the body."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **variables}
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, env=environment, stdout=output, stderr=output) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def dask_scheduler(folder: Path) -> Iterator[str]:
    """The address of a Dask scheduler, a process of its own."""
    file = folder / "scheduler.json"
    where = ("--host=127.0.0.1", "--port=0", "--no-dashboard", f"--scheduler-file={file}")
    with process("-m", "distributed.cli.dask_scheduler", *where):
        eventually(lambda: address_in(file))
        yield str(address_in(file))


def address_in(file: Path) -> str | None:
    """The address in a scheduler's file, once it is there and whole."""
    try:
        return str(json.loads(file.read_text())["address"])
    except (FileNotFoundError, ValueError):
        return None


def dask_worker(address: str, **variables: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A Dask worker, a process of its own."""
    alone = ("--nthreads=1", "--no-nanny", "--no-dashboard")
    return process("-m", "distributed.cli.dask_worker", address, *alone, **variables)


def eventually(true: Callable[[], object], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def on_dask(address: str) -> tuple[str, ...]:
    return "--runner=DaskRunner", f"--dask_client_address={address}", "--dask_connection_timeout=60"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Dask cluster of two worker processes."""
    with (
        dask_scheduler(tmp_path_factory.mktemp("dask")) as address,
        dask_worker(address),
        dask_worker(address),
    ):
        yield address


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four speakers who say each word once, and a noise recording."""
    root = tmp_path_factory.mktemp("runners") / "data"
    random = np.random.default_rng(1)
    for label in (*LABELS, "_background_noise_"):
        (root / label).mkdir(parents=True)
        for number in range(1 if label == "_background_noise_" else 4):
            noise = random.normal(0, 0.1, RATE // 2)
            soundfile.write(root / label / f"s{number}_nohash_0.wav", noise, RATE)
    return root


def digests(folder: Path) -> dict[str, str]:
    """Of every file of an artifact but its lineage."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != "lineage.json"
    }


GENERATE = {"clip_seconds": 0.5, "shards": 4}
VIEWS = {"train_views": 1, "eval_views": 1, "made_unknown": 0.5, "made_silence": 0.5}


def generate(data: Path, folder: Path, options: tuple[str, ...]) -> dict[str, str]:
    folder.mkdir()
    settings = ExampleGenParameters(**GENERATE, beam_options=options)
    example_gen.execute({"recordings": data}, {"examples": folder}, settings)
    return digests(folder)


def all_steps(data: Path, folder: Path, options: tuple[str, ...]) -> dict[str, dict[str, str]]:
    examples, statistics, features = (
        folder / name for name in ("examples", "statistics", "features")
    )
    made = {"examples": generate(data, examples, options)}
    statistics.mkdir()
    features.mkdir()
    statistics_gen.execute(
        {"examples": examples},
        {"statistics": statistics},
        StatisticsGenParameters(beam_options=options),
    )
    transform.execute(
        {"examples": examples},
        {"features": features},
        TransformParameters(**VIEWS, beam_options=options),
    )
    return {**made, "statistics": digests(statistics), "features": digests(features)}


@pytest.fixture(scope="module")
def in_memory(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the steps make in one process."""
    return all_steps(data, tmp_path_factory.mktemp("in_memory"), IN_MEMORY)


def test_a_dask_cluster_makes_the_same_bytes_from_the_command_line(
    data: Path, in_memory: dict[str, dict[str, str]], cluster: str, tmp_path: Path
) -> None:
    settings = [f"ExampleGen.{name}={value}" for name, value in GENERATE.items()]
    settings += [f"Transform.{name}={value}" for name, value in VIEWS.items()]
    root = tmp_path / "root"
    command = ["-m", "pipeline", "run", "keyword_spotting", f"--data={data}", f"--root={root}"]
    options = [word for setting in settings for word in ("--set", setting)]

    said = tmp_path / "said"
    with (
        said.open("wb") as output,
        process(*command, *options, "--", *on_dask(cluster), output=output) as run,
    ):
        eventually(lambda: run.poll() is not None or _TRANSFORMED.search(said.read_text()))
        run.send_signal(signal.SIGINT)  # before it trains
        run.wait(60)
    assert _TRANSFORMED.search(said.read_text()), said.read_text()
    made = {
        step: digests(*{path.parent for path in root.rglob(f"{step}.json")}) for step in in_memory
    }
    assert made == in_memory


@contextmanager
def killed_once(mark: Path) -> Iterator[None]:
    """Kills the process that `stop_once` names in `mark`, while the body runs."""

    def kill() -> None:
        eventually(mark.exists)
        os.kill(int(mark.read_text()), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()
    assert mark.exists()


def test_a_killed_dask_worker_loses_and_doubles_nothing(
    data: Path,
    in_memory: dict[str, dict[str, str]],
    cluster: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setattr(example_gen, "make_shard", functools.partial(stop_once, mark))
    with killed_once(mark):
        assert generate(data, tmp_path / "examples", on_dask(cluster)) == in_memory["examples"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_two_processes_make_the_same_bytes_though_one_is_killed(
    data: Path,
    in_memory: dict[str, dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setattr(example_gen, "make_shard", functools.partial(stop_once, mark))
    with killed_once(mark):
        assert all_steps(data, tmp_path, TWO_PROCESSES) == in_memory


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_workers_that_die_each_time_end_the_step_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.beam_shards._TRIES", 1)
    with pytest.raises(UserError, match="a worker process of the Beam runner died"):
        shards(tmp_path, TWO_PROCESSES, os._exit)


def shards(
    folder: Path, options: tuple[str, ...], work: Callable[[int], object] = abs
) -> list[object]:
    return list(
        run_shards(
            work,
            [1, 2],
            folder=folder,
            reads=[],
            beam_options=options,
            weights=[1.0, 1.0],
            unit="shards",
        )
    )


def test_a_scheduler_that_is_not_there(tmp_path: Path) -> None:
    options = ("--runner=dask", "--dask_connection_timeout=1")
    with pytest.raises(UserError, match=r"127.0.0.1:9 cannot be reached within 1 s"):
        shards(tmp_path, (*options, "--dask_client_address=tcp://127.0.0.1:9"))
    with pytest.raises(UserError, match="no such file"):
        shards(tmp_path, (*options, "--dask_scheduler_file=/nowhere.json"))
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_cannot_do_the_work_says_why(tmp_path: Path) -> None:
    with dask_scheduler(tmp_path) as address:
        soon = (*on_dask(address)[:2], "--dask_connection_timeout=5")
        with pytest.raises(UserError, match="has no worker, after 5 s"):
            shards(tmp_path, soon)
        with (
            dask_worker(address, PYTHONPATH="", PYTHONSAFEPATH="1"),
            pytest.raises(UserError, match=r"cannot run this project.*PYTHONPATH"),
        ):
            shards(tmp_path, on_dask(address))


def test_a_folder_that_workers_do_not_share(cluster: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not see this folder.*all workers share"):
        list(
            run_shards(
                abs,
                [1],
                folder=tmp_path,
                reads=[Path("/nowhere")],
                beam_options=on_dask(cluster),
                weights=[1.0],
                unit="shards",
            )
        )
