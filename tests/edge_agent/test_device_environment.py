"""The agent as a device gets it: a wheel, in an environment of its own few requirements alone."""

import itertools
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import edge_agent
from tests.fixtures.anomaly_bundles import csv_text, machine_rows, write_anomaly_bundle
from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.package_index import skip_unreached
from tests.fixtures.speech import make_recordings, utterance, wav_bytes

PACKAGE = Path(edge_agent.__file__).parent


def settings() -> dict:
    return tomllib.loads((PACKAGE / "pyproject.toml").read_text())


def pins(path: Path) -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    return dict(line.split("==") for line in lines if "==" in line)


@pytest.mark.checkout
def test_the_wheel_names_every_package_of_the_agent():
    folders = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("__init__.py")}
    names = {".".join(("edge_agent", *folder.parts)) for folder in folders}
    assert set(settings()["tool"]["setuptools"]["packages"]) == names


@pytest.mark.checkout
def test_the_device_s_versions_are_those_of_the_lock():
    lock = pins(PACKAGE.parent / "requirements.txt")
    device = pins(PACKAGE / "requirements.txt")
    assert device
    assert {name: lock.get(name) for name in device} == device
    extras = settings()["project"]["optional-dependencies"]
    assert extras["litert"] == [f"ai-edge-litert=={lock['ai-edge-litert']}"]
    assert extras["microphone"] == [f"sounddevice=={lock['sounddevice']}"]
    assert extras["pictures"] == [f"pillow=={lock['pillow']}"]


def run(*command) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    skip_unreached(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_environment(folder: Path, wheel: Path) -> Path:
    """A fresh virtual environment with the wheel; gives its python."""
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    python = folder / "bin" / "python"
    if uv:
        run(uv, "venv", "--quiet", "--python", sys.executable, folder)
        run(uv, "pip", "install", "--quiet", "--python", python, wheel)
    else:
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", wheel)
    return python


EXTRAS = ("litert", "microphone", "pictures")


def resolved(folder: Path, platform: str, *options: str, extras: tuple[str, ...] = EXTRAS) -> str:
    """What a device of `platform` would get, a pin a line."""
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    if uv is None:
        pytest.skip("uv is not here to resolve them")
    known = settings()["project"]["optional-dependencies"]
    wanted = itertools.chain(*(known[extra] for extra in extras))
    lines = [(PACKAGE / "requirements.txt").read_text(), *wanted]
    (folder / "wanted.in").write_text("\n".join(lines))
    done = subprocess.run(
        [uv, "pip", "compile", "--python-version", "3.11", "--python-platform", platform,
         "--only-binary", ":all:", *options, folder / "wanted.in"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    skip_unreached(done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.checkout
@pytest.mark.parametrize("platform", ["x86_64-manylinux_2_34", "aarch64-manylinux_2_34"])
def test_the_device_s_requirements_and_extras_resolve_to_wheels(tmp_path, platform):
    assert set(EXTRAS) == set(settings()["project"]["optional-dependencies"])
    assert "tflite-runtime==2.14.0" in resolved(tmp_path, platform)


@pytest.mark.slow
@pytest.mark.checkout
def test_on_armv7_what_the_docs_name_comes_as_source_and_all_else_as_wheels(tmp_path):
    built = ("numpy", "pymicro-features", "soxr", "cffi", "pillow")
    # uv knows no armv7; that there are sources at all does not depend on where.
    sources = itertools.chain(*(("--no-binary", name) for name in built))
    told = resolved(tmp_path, "aarch64-manylinux_2_34", *sources, extras=("microphone", "pictures"))
    pins = [line for line in told.splitlines() if "==" in line and line[0] not in " #"]
    wheels = [pin for pin in pins if pin.split("==")[0] not in built]
    assert len(pins) - len(wheels) == len(built)
    platforms = ("--platform", "manylinux_2_34_armv7l", "--platform", "manylinux2014_armv7l")
    words = ("--dry-run", "--no-deps", "--ignore-installed", "--target", tmp_path / "device")
    run(
        sys.executable, "-m", "pip", "install", *words, "--only-binary", ":all:", *platforms,
        "--python-version", "3.11", *wheels,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.checkout
def test_the_wheel_runs_with_its_own_requirements_alone(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__", "BUILD"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source)
    (wheel,) = tmp_path.glob("edge_agent-*.whl")
    assert wheel.name.startswith(f"edge_agent-{edge_agent.__version__}-")
    python = make_environment(tmp_path / "device", wheel)

    bundle = make_bundle(tmp_path / "a.bundle")
    make_recordings(tmp_path / "data", LABELS, clips=1)
    said = ("yes", "_silence_", "stop")
    pcm = np.concatenate([utterance(label, LABELS) for label in said])
    (tmp_path / "long.wav").write_bytes(wav_bytes(pcm))

    def agent(*arguments):
        return run(python, "-I", "-m", "edge_agent", *arguments)

    found = json.loads(agent("evaluate", "--bundle", bundle, "--data", tmp_path / "data", "--json"))
    assert (found["accuracy"], found["n"]) == (1.0, 5)
    lines = agent("spot", "--bundle", bundle, tmp_path / "long.wav", "--json").splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["yes", "stop"]
    assert (
        json.loads(agent("selftest", "--bundle", bundle, "--json"))["runtime"] == "tflite_runtime"
    )
    assert "TUF" in agent("install", "--help")

    pump = write_anomaly_bundle(tmp_path / "pump.bundle")
    (tmp_path / "pump.csv").write_text(csv_text(machine_rows(20)))
    rows = agent("score", "--bundle", pump, "--csv", tmp_path / "pump.csv", "--json").splitlines()
    assert len(rows) == 20
    assert json.loads(agent("selftest", "--bundle", pump, "--json"))["runtime"] == "numpy"

    heavy = ("tensorflow", "tf_keras", "apache_beam", "scipy", "sqlalchemy", "flask", "fastapi")
    script = (
        "import importlib.util, sys, edge_agent.update.install\n"
        "print(edge_agent.__file__)\n"
        "print([n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    )
    place, present = run(python, "-I", "-c", script, *heavy).splitlines()
    assert Path(place).is_relative_to(tmp_path / "device")
    assert present == "[]"
