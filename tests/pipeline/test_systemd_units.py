"""The systemd units in docs/: whether systemd takes them, and the pipeline their command lines."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.command_line import parse

pytestmark = pytest.mark.checkout

UNITS = Path(__file__).resolve().parents[2] / "docs" / "systemd"
PROGRAM = "/opt/pipeline/.venv/bin/python"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    for unit in UNITS.iterdir():
        text = unit.read_text().replace(PROGRAM, sys.executable)
        (tmp_path / unit.name).write_text(text)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["pipeline-once.service", "pipeline-once.timer", "pipeline-schedule.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "pipeline-" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("name", ["pipeline-once.service", "pipeline-schedule.service"])
def test_the_pipeline_takes_the_command_line_of_a_unit(name):
    text = (UNITS / name).read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, flags=re.MULTILINE)
    program, m, *words = shlex.split(line)
    assert (program, m) == (PROGRAM, "-m")
    arguments = parse(words)
    assert (arguments.data, arguments.root) == ("/srv/recordings", "%S/pipeline")
