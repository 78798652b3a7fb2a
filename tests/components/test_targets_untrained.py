import json

import pytest

from tests.fixtures import networks

pytestmark = pytest.mark.slow


def test_an_architecture_that_a_target_refuses_is_stopped_before_training() -> None:
    said = json.loads((networks.workshop() / "refusals.json").read_text())["gelu"]
    assert "tflm: " in said
    assert "GELU" in said
    assert "HARD_SWISH" in said
    assert "litert: " not in said


def test_a_good_architecture_passes_every_target() -> None:
    assert json.loads((networks.workshop() / "refusals.json").read_text())["plain"] == ""
