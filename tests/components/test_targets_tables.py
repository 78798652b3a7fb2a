import json
import os
import subprocess
import sys

import pytest

from components.targets.profile import load_profile, profile_names
from tests.fixtures import registrations


def answers(runtime: str) -> dict[str, tuple[int, int]]:
    done = subprocess.run(
        [sys.executable, registrations.__file__, runtime],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        check=True,
    )
    return {name: tuple(found) for name, found in json.loads(done.stdout).items()}


@pytest.mark.parametrize("target", ["tflite-runtime-2.14", "litert"])
def test_a_profile_says_what_the_installed_runtime_registers(target: str) -> None:
    assert load_profile(target).operators == answers(target)


def test_the_tflm_profile_has_the_operators_that_its_interpreter_finds() -> None:
    assert set(load_profile("tflm").operators) == set(answers("tflm"))


def test_every_profile_loads_and_names_its_source() -> None:
    names = profile_names()
    assert {"tflm", "tflite-runtime-2.14", "litert", "ethos-u55-128", "edgetpu"} <= set(names)
    for name in names:
        profile = load_profile(name)
        assert profile.name == name
        assert len(profile.source) > 40
