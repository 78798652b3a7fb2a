"""The cache key of an execution: what moves it, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import FEATURES, INT8_MODEL, RECORDINGS
from components.base import Channel
from components.example_gen.component import ExampleGen, ExampleGenParameters
from components.infra_validator.component import InfraValidator, InfraValidatorParameters
from components.trainer.component import Trainer, TrainerParameters
from pipeline import keys
from pipeline.explanation import differences
from tests.fixtures.steps import Judge, StepParameters, Write


def test_the_key_is_a_function_of_type_parameters_and_inputs():
    def key(component=None, **digests: str) -> str:
        return keys.cache_key(keys.key_parts(component or Write(), digests, "code"))

    assert key(examples="1") == key(Write(None, "Other name"), examples="1")
    others = [
        key(Write(StepParameters(text="other")), examples="1"),
        key(Judge(), examples="1"),
        key(examples="2"),
        key(recordings="1"),
        key(),
    ]
    assert len({key(examples="1"), *others}) == 1 + len(others)


@given(st.dictionaries(st.text(), st.text(), max_size=4))
def test_the_order_of_the_inputs_does_not_count(digests):
    reverse = dict(reversed(digests.items()))
    one, other = (keys.key_parts(Write(), order, "code") for order in (digests, reverse))
    assert keys.cache_key(one) == keys.cache_key(other)


def test_other_code_or_packages_give_another_key(monkeypatch):
    before = keys.key_parts(Write(), {}, "code")
    assert keys.cache_key(keys.key_parts(Write(), {}, "other code")) != keys.cache_key(before)
    monkeypatch.setattr(keys, "environment", lambda: {"python": "4"})
    assert keys.cache_key(keys.key_parts(Write(), {}, "code")) != keys.cache_key(before)


def test_what_only_says_how_a_step_is_executed_does_not_count():
    def parts(parameters: ExampleGenParameters) -> dict[str, object]:
        component = ExampleGen(parameters, recordings=Channel(RECORDINGS, path=Path("data")))
        return keys.key_parts(component, {"recordings": "1"}, "code")

    spread = ExampleGenParameters(beam_options=("--direct_num_workers=1",))
    assert parts(spread) == parts(ExampleGenParameters())
    assert parts(ExampleGenParameters(shards=7)) != parts(ExampleGenParameters())


@pytest.mark.parametrize("kind", ["validator", "trainer"])
def test_a_profile_of_ones_own_counts_by_its_content(kind, tmp_path):
    board = tmp_path / "board.toml"

    def parts(*targets: str) -> dict[str, Any]:
        features, model = Channel(FEATURES, path=tmp_path), Channel(INT8_MODEL, path=tmp_path)
        if kind == "trainer":
            return keys.key_parts(
                Trainer(TrainerParameters(targets=targets), features=features), {}, ""
            )
        parameters = InfraValidatorParameters(targets=targets)
        return keys.key_parts(InfraValidator(parameters, features=features, model=model), {}, "")

    found = []
    for text in ("arena_bytes = 1", "arena_bytes = 2", "arena_bytes = 1"):
        board.write_text(text)
        found.append(parts("tflm", str(board)))
    assert found[0] == found[2]
    assert [line.partition(":")[0] for line in differences(found[0], found[1])] == [
        f"parameters.{board}"
    ]
    # Those that come along are in the digest of the code.
    assert parts("tflm")["parameters"].keys() < found[0]["parameters"].keys()


def test_the_environment_names_versions():
    found = keys.environment()
    assert {"python", "tensorflow", "tflite-runtime", "apache-beam", "numpy"} <= set(found)
    assert all(version[0].isdigit() for version in found.values())
