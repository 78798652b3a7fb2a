"""The unit of the agent in docs/: whether systemd takes it, how exposed it is, and what it starts."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.command_line import parse

pytestmark = pytest.mark.checkout

UNIT = Path(__file__).resolve().parents[2] / "docs" / "device" / "edge-agent.service"
PROGRAM = "/opt/edge-agent/bin/python"
systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd here"
)


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@systemd
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    done = analyze("verify", "--man=no", "--recursive-errors=no", copy)
    assert (done.returncode, [x for x in done.stderr.splitlines() if UNIT.name in x]) == (0, [])


@systemd
def test_the_unit_is_hardly_exposed():
    done = analyze("security", "--offline=true", "--threshold=20", UNIT)
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_unit_s_shell_is_replaced_by_the_agent_with_the_sound_on_its_input(tmp_path):
    text = UNIT.read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, flags=re.MULTILINE)
    shell, c, script, *words = shlex.split(line)
    assert (shell, c) == ("/bin/bash", "-c")
    for name, body in (
        ("python", 'echo "$PPID $*"; cat'),
        ("arecord", 'echo "sound"'),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    script = script.replace(PROGRAM, str(tmp_path / "python"))
    done = subprocess.run(
        [shell, c, script, *words],
        capture_output=True, text=True, check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip
    said, sound = done.stdout.splitlines()
    parent, *arguments = said.split()
    assert sound == "sound"
    assert int(parent) != 0
    module, *rest = arguments[1:]
    assert module == "edge_agent"
    assert str(parse(["edge_agent", *rest]).config) == "%E/edge-agent/agent.toml"
