"""The cache key of an execution: what moves it, and what does not."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import RECORDINGS
from components.base import Channel
from components.example_gen.component import ExampleGen, ExampleGenParameters
from pipeline import keys
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


def test_the_environment_names_versions():
    found = keys.environment()
    assert {"python", "tensorflow", "tflite-runtime", "apache-beam", "numpy"} <= set(found)
    assert all(version[0].isdigit() for version in found.values())
