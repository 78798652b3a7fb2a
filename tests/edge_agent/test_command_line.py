"""The agent's command line, as a person or a script uses it: in a process of its own."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edge_agent
from tests.fixtures.bundles import LABELS, make_bundle
from tests.fixtures.speech import make_recordings, utterance, wav_bytes

ROOT = Path(edge_agent.__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SAID = ("yes", "_silence_", "no")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command_line")
    make_bundle(folder / "a.bundle")
    make_recordings(folder / "data", LABELS, clips=1)
    pcm = np.concatenate([utterance(label, LABELS) for label in SAID])
    (folder / "long.wav").write_bytes(wav_bytes(pcm))
    (folder / "long.raw").write_bytes(pcm.tobytes())
    return folder


def agent(*arguments, stdin=b"", **options):
    command = [sys.executable, "-m", "edge_agent", *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, capture_output=True, check=False, env=ENVIRONMENT, **options
    )


def refused(*arguments, code=1, **options) -> str:
    """Standard error of a command that must fail: one plain line, nothing on standard output."""
    done = agent(*arguments, **options)
    assert done.returncode == code, done.stderr.decode()
    assert done.stdout == b""
    text = done.stderr.decode()
    assert "Traceback" not in text
    if code == 1:
        assert text.startswith("error: ")
        assert text.count("\n") == 1
    return text


def test_evaluate_gives_one_line_of_json_and_nothing_else(files):
    done = agent("evaluate", "--bundle", files / "a.bundle", "--data", files / "data", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    found = json.loads(done.stdout)
    assert set(found) == {"accuracy", "n", "per_label", "confusion"}
    assert (found["accuracy"], found["n"]) == (1.0, 5)
    assert set(found["per_label"]["yes"]) == {"recall", "precision", "n"}
    assert found["confusion"]["labels"] == list(LABELS)


def test_evaluate_takes_a_list_and_shows_a_table(files):
    (files / "list.txt").write_text("yes/00000002_nohash_0.wav\n")
    done = agent(
        "evaluate", "--bundle", files / "a.bundle", "--data", files / "data",
        "--list", files / "list.txt", "--runtime", "tflite_runtime",
    )  # fmt: skip
    assert b"accuracy 1.0000 on 1 clips" in done.stdout
    assert b"precision" in done.stdout


@pytest.mark.parametrize("source", ["long.wav", "wav on stdin", "raw on stdin"])
def test_spot_gives_a_line_of_json_for_each_word(files, source):
    stdin = (files / f"long.{source[:3]}").read_bytes() if "stdin" in source else b""
    place = "-" if stdin else files / source
    done = agent("spot", "--bundle", files / "a.bundle", place, "--json", stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["label"], int(line["time_s"])) for line in lines] == [("yes", 0), ("no", 2)]
    assert all(set(line) == {"time_s", "label", "score"} for line in lines)


def test_spot_tells_people_too_and_nothing_when_there_is_nothing(files):
    done = agent("spot", "--bundle", files / "a.bundle", files / "long.wav")
    assert [line.split()[2] for line in done.stdout.decode().splitlines()] == ["yes", "no"]
    done = agent("spot", "--bundle", files / "a.bundle", "-", stdin=b"")
    assert (done.returncode, done.stdout) == (0, b"")


def test_selftest_passes_in_both_forms(files):
    assert b"passed: 5 vectors" in agent("selftest", "--bundle", files / "a.bundle").stdout
    done = agent("selftest", "--bundle", files / "a.bundle", "--json", "--runtime", "litert")
    assert json.loads(done.stdout)["runtime"] == "litert"


def test_errors_are_one_plain_line_that_names_the_file(files, tmp_path):
    bundle = ("--bundle", files / "a.bundle")
    cut = tmp_path / "cut.bundle"
    cut.write_bytes((files / "a.bundle").read_bytes()[:-100])
    text = tmp_path / "text.wav"
    text.write_text("no recording")
    assert "none.bundle" in refused("selftest", "--bundle", tmp_path / "none.bundle")
    assert "cut.bundle: not a whole bundle" in refused("spot", "--bundle", cut, text)
    assert "text.wav: is not a WAV file" in refused("spot", *bundle, text)
    assert "standard input" in refused("spot", *bundle, "-", stdin=b"RIFF but no more")
    assert "none" in refused("evaluate", *bundle, "--data", tmp_path / "none")
    arguments = ("--data", files / "data", "--list", tmp_path / "none.txt")
    assert "none.txt" in refused("evaluate", *bundle, *arguments)


def test_a_failed_install_is_one_plain_line(tmp_path):
    text = refused(
        "install", "--repository", tmp_path / "nowhere", "--trusted-root", tmp_path / "root.json",
        "--root", tmp_path / "device", "keyword_spotting",
    )  # fmt: skip
    assert "nowhere" in text


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("spot",),
        ("spot", "--bundle"),
        ("evaluate", "--bundle", "b"),
        ("--nothing",),
    ],
)
def test_a_wrong_command_line_shows_the_usage(arguments):
    assert "usage: python -m edge_agent" in refused(*arguments, code=2)


@pytest.mark.parametrize("command", [(), ("evaluate",), ("spot",)])
def test_help_teaches_by_example(command):
    done = agent(*command, "--help")
    assert done.returncode == 0
    assert b"examples:\n  python -m edge_agent" in done.stdout


def start_spotting(files) -> subprocess.Popen:
    """A spotter that listens to a stream which has said one word and goes on."""
    command = [sys.executable, "-m", "edge_agent", "spot", "--bundle", files / "a.bundle", "-"]
    spotter = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )  # fmt: skip
    spotter.stdin.write((files / "long.raw").read_bytes()[:60_000])
    spotter.stdin.flush()
    assert b"yes" in spotter.stdout.readline()
    return spotter


def test_a_word_is_told_while_the_stream_goes_on_and_an_interrupt_ends_it_quietly(files):
    spotter = start_spotting(files)
    spotter.send_signal(signal.SIGINT)
    _, stderr = spotter.communicate(timeout=60)
    assert (spotter.returncode, stderr) == (130, b"")


def test_a_reader_that_goes_away_ends_it_quietly(files):
    spotter = start_spotting(files)
    spotter.stdout.close()
    spotter.stdin.write((files / "long.raw").read_bytes()[60_000:])
    spotter.stdin.close()
    assert spotter.stderr.read() == b""
    assert spotter.wait(timeout=60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error(files):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent", "selftest", "--bundle", files / "a.bundle"],
            stdout=full, stderr=subprocess.PIPE, check=False, env=ENVIRONMENT,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"error: " in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_starts_quickly_and_stays_small(files):
    script = (
        "import re, runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try: runpy.run_module('edge_agent', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    command = [sys.executable, "-c", script, "edge_agent", "spot", "--bundle", files / "a.bundle"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, files / "long.wav"], capture_output=True, check=True, env=ENVIRONMENT
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 3.0  # 0.25 s on an idle machine; processor time, as others may use it too
    assert int(done.stdout.split()[-1]) < 70_000  # 55,000 kB with LiteRT
