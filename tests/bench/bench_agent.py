"""What hearing costs on the device, beside pymicro-wakeword from PyPI, on the same audio in the same run.

Each program is installed in an environment of its own and runs in processes of its own, turn by turn.
Ours is measured on both runtimes, with an untrained network of the pipeline's own architecture, for what it
computes does not depend on what it learns; ``--bundle`` measures a real one, and then also how long after the
end of a word its detection is known, and how many false accepts come of the ``--target`` that its policy was
chosen for. The daemon is measured whole, with both workloads and an update that is being fetched, while sound
comes at its own pace.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.tables import Limits
from tests.bench.table import TOP, Figure, data_folder, publish
from tests.fixtures.anomaly_bundles import csv_text, machine_rows, write_anomaly_bundle
from tests.fixtures.daemons import daemon, write_config
from tests.fixtures.field import Field, served

_PEER = "pymicro-wakeword==2.5.0"
_SECONDS = 40
_LIVE_S = 20
# Bytes a second: so slow that an update is still fetched when all is measured.
_RATE_LIMIT = 150
_RUNS = 4
_RATE = 16_000
_BLOCK = 480  # 30 ms, as much as the peer's model takes at once; ours takes what its steps take

_OURS = """
import sys, time
from edge_agent.bundle import archive
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.keyword.spotting import Spotter
import numpy as np
bundle = archive.read(sys.argv[1])
classifier = KeywordClassifier(bundle.manifest, bundle.files, runtime=sys.argv[3])
block = classifier.policy.hop_frames * classifier.features.stride_samples
def make():
    return Spotter(classifier)
def step(state, block):
    state.process(block)
def first():
    classifier.probabilities(np.zeros((classifier.frames, classifier.features.channels), np.int8))
"""
_THEIRS = """
import sys, time
import numpy as np
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model
word = MicroWakeWord.from_builtin(Model.OKAY_NABU)
block = int(sys.argv[4])
def make():
    return MicroWakeWordFeatures()
def step(state, block):
    for features in state.process_streaming(block.tobytes()):
        word.process_streaming(features)
def first():
    step(make(), np.zeros(16000, np.int16))
"""
_MEASURE = """
import json, re
first()
begun, start = time.time(), time.process_time()
pcm = np.load(sys.argv[2])
state = make()
def play(samples):
    for at in range(0, len(samples), block):
        step(state, samples[at : at + block])
play(pcm[: 5 * 16000])
cpu = time.process_time()
play(pcm)
cpu = (time.process_time() - cpu) / (len(pcm) / 16000)
resident = re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]
told = {"first": begun, "start_cpu_s": start, "cpu_ms": 1000 * cpu, "rss_mb": int(resident) / 1024}
print(json.dumps(told))
"""


def main() -> None:
    """Measures, and publishes the best of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a keyword bundle; default: an untrained one")
    parser.add_argument(
        "--target", type=float, default=200.0, metavar="N",
        help="false accepts an hour that its policy was chosen for (default: %(default)g)",
    )  # fmt: skip
    arguments = parser.parse_args()
    # Looked for first: what takes minutes is not lost for want of it.
    words = data_folder("speech_commands_v2_subset") if arguments.bundle else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundles = {"": arguments.bundle} if arguments.bundle else _untrained(folder)
        audio = folder / "audio.npy"
        np.save(audio, _audio())
        device, size_mb, others_mb = _device(folder)
        peer = _environment(folder / "peer", _PEER)
        litert = _environment(folder / "litert", *_wheel(folder), "ai-edge-litert==2.3.0")
        programs = {"peer": (peer, _THEIRS, Path("none"), "")}
        for runtime, python in (("litert", litert), ("tflite_runtime", device)):
            for form, bundle in bundles.items():
                name = ", ".join(filter(None, (runtime, form)))
                programs[name] = (python, _OURS, bundle, runtime)
        best = _best(programs, audio)
        theirs = best.pop("peer")
        figures = [
            Figure(figure=f"{what}, {name}", ours=ours[key], peer=theirs[key], unit=unit)
            for key, what, unit in (
                ("cpu_ms", "CPU a second of audio", "ms"),
                ("rss_mb", "resident", "MB"),
                ("start_s", "start to first inference", "s"),
                ("start_cpu_s", "start to first inference, CPU", "s"),
            )
            for name, ours in best.items()
        ]
        peer_mb = _megabytes(peer.parents[1])
        figures.append(
            Figure(figure="installed with tflite-runtime", ours=size_mb, peer=peer_mb, unit="MB")
        )
        figures.append(
            Figure(figure="installed but numpy; limit", ours=others_mb, peer=20, unit="MB")
        )
        figures += _whole_daemon(folder, list(bundles.values())[-1])
        if words is not None:
            figures += _word_latency(arguments.bundle, words)
            figures.append(_false_accepts(arguments.bundle, words, arguments.target))
    publish("agent", figures)


def _word_latency(bundle: Path, recordings: Path) -> list[Figure]:
    """From the end of a word of the test list to its event, and the words that gave none."""
    told = _told("word_latency", bundle.absolute(), recordings, recordings / "test.txt")
    name = f"end of a word to its event, median of {told['found']}; limit"
    missed = 100 * (1 - told["found"] / told["words"])
    return [
        Figure(figure=name, ours=told["median_s"], peer=0.25, unit="s"),
        Figure(figure="  9 of 10 words within", ours=told["p90_s"], peer=0, unit="s"),
        Figure(figure=f"  of {told['words']} words missed", ours=missed, peer=0, unit="%"),
    ]


def _false_accepts(bundle: Path, recordings: Path, target: float) -> Figure:
    """On sound of the test list that holds none of the words."""
    noises = data_folder("speech_commands_background_noise")
    lists = recordings / "test.txt"
    told = _told("false_accepts", bundle.absolute(), recordings, lists, noises)
    name = f"false accepts an hour, {told['accepted']} in {60 * told['hours']:.0f} min; asked for"
    return Figure(figure=name, ours=told["per_hour"], peer=target, unit="1/h")


def _told(module: str, *arguments: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", f"tests.bench.{module}", *arguments]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _audio() -> Any:
    """Noise whose level wanders, with bursts: what a quiet and a loud room are to a front end."""
    random = np.random.default_rng(1)
    level = 10 ** (2 + np.abs(np.cumsum(random.normal(0, 0.1, _SECONDS))) % 1.8)
    noise = random.normal(size=(_SECONDS, _RATE)) * level[:, None]
    return np.clip(noise, -32768, 32767).astype(np.int16).reshape(-1)


def _untrained(folder: Path) -> dict[str, Path]:
    """Bundles of the pipeline's architecture and defaults, with weights as they are begun with."""
    command = [sys.executable, "-m", "tests.bench.untrained_bundle", folder]
    subprocess.run(command, cwd=TOP, check=True)
    return {name: folder / f"{name}.bundle" for name in ("sliding", "streaming", "streaming by 4")}


def _wheel(folder: Path) -> list[str]:
    """The agent's wheel, built once."""
    if not list(folder.glob("*.whl")):
        source = folder / "source"
        ignored = shutil.ignore_patterns("__pycache__", "BUILD")
        shutil.copytree(TOP / "edge_agent", source, ignore=ignored)
        words = ["-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source]
        subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return [str(next(folder.glob("*.whl")))]


def _device(folder: Path) -> tuple[Path, float, float]:
    """The python of a device's environment, its size, and that of all but numpy."""
    python = _environment(folder / "device", *_wheel(folder))
    packages = next((folder / "device").glob("lib/python*/site-packages"))
    numpy_mb = sum(_megabytes(path) for path in packages.glob("numpy*"))
    size = _megabytes(folder / "device")
    return python, size, size - numpy_mb


def _environment(folder: Path, *packages: str) -> Path:
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    assert uv is not None
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--link-mode=copy", "--python", python, *packages]
    subprocess.run(install, check=True)
    return python


def _megabytes(folder: Path) -> float:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 2**20


def _best(
    programs: Mapping[str, tuple[Path, str, Path, str]], audio: Path
) -> dict[str, dict[str, float]]:
    """The least of several runs of each program (python, text, bundle, runtime), turn by turn.

    What else the machine does only adds to a figure, and falls on all of them alike.
    """
    best: dict[str, dict[str, float]] = {name: {} for name in programs}
    for _ in range(_RUNS):
        for name, (python, program, bundle, runtime) in programs.items():
            for key, value in _run(python, program, bundle, audio, runtime).items():
                best[name][key] = min(value, best[name].get(key, value))
    return best


def _run(python: Path, program: str, bundle: Path, audio: Path, runtime: str) -> dict[str, float]:
    begun = time.time()
    done = subprocess.run(
        [python, "-I", "-c", program + _MEASURE, bundle, audio, runtime, str(_BLOCK)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    told["start_s"] = told.pop("first") - begun
    return told


def _whole_daemon(folder: Path, bundle: Path) -> list[Figure]:
    """Both workloads, an update, and all sinks but a broker, while sound comes at its own pace."""
    write_anomaly_bundle(folder / "pump.bundle")
    (folder / "pump.csv").write_text(csv_text(machine_rows(1)))
    os.mkfifo(folder / "microphone")
    field = Field(folder)
    field.publish(1)
    microphone = os.open(folder / "microphone", os.O_RDWR)
    audio = _audio()
    with served(field):
        config = write_config(
            folder,
            f'[keyword]\nsource = "microphone"\nbundle = "{bundle.absolute()}"\n'
            '[anomaly]\nsource = "pump.csv"\nbundle = "pump.bundle"\n[metrics]\nport = 0\n'
            '[mqtt]\nhost = "127.0.0.1"\nport = 9\n'
            f'[repository]\nurl = "{field.address}"\ntrusted_root = "root.json"\n'
            f"[update]\npoll = 1.0\nrate_limit = {_RATE_LIMIT}\n",
            # As by default: how often the supervisor looks depends on it.
            first_wait=Limits().first_wait,
        )
        with daemon(config) as running:
            pids = [running.process.pid, running.pid("keyword"), running.pid("anomaly")]
            begun, cpu = time.monotonic(), _cpu_s(pids)
            for at in range(0, _LIVE_S * _RATE, _BLOCK):
                os.write(microphone, audio[at : at + _BLOCK].tobytes())
                time.sleep(max(0.0, begun + at / _RATE - time.monotonic()))
            cpu = _cpu_s(pids) - cpu
            told = running.until(lambda s: s["updates"]["at_work"])
            assert told["updates"]["last"] is None, f"not measured: {told['updates']}"
            children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
            pids += [int(pid) for pid in children if int(pid) not in pids]
            shared = [_pss_mb(pid) for pid in pids]
            running.end(signal.SIGKILL)
    os.close(microphone)
    parts = zip(("supervisor", "keyword", "anomaly", "update"), shared, strict=True)
    return [
        Figure(figure="daemon, all at work, PSS; limit", ours=sum(shared), peer=160, unit="MB"),
        *(Figure(figure=f"  {name}, PSS", ours=mb, peer=0, unit="MB") for name, mb in parts),
        Figure(
            figure="daemon, CPU a second of live audio",
            ours=1000 * cpu / _LIVE_S,
            peer=0,
            unit="ms",
        ),
    ]


def _cpu_s(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _pss_mb(pid: int) -> float:
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
