"""Digests of folders, and the cache key of an execution."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import keys
from tests.fixtures.steps import Judge, StepParameters, Write


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_digest_of_a_folder_is_over_names_and_contents(tmp_path):
    folder = tree(tmp_path, {"b/x": "two", "a": "one"})
    total = hashlib.sha256()
    for name, text in (("a", b"one"), ("b/x", b"two")):
        total.update(name.encode() + b"\0" + hashlib.sha256(text).digest())
    assert keys.folder_digest(folder) == total.hexdigest()


def test_the_order_in_which_files_came_does_not_count(tmp_path):
    files = {"a/1": "x", "a/2": "y", "b": "z"}
    one = tree(tmp_path / "one", files)
    two = tree(tmp_path / "two", dict(reversed(files.items())))
    assert keys.folder_digest(one) == keys.folder_digest(two)


@pytest.mark.parametrize(
    "files",
    [
        {"a": "x", "b": "z"},
        {"a": "y", "b": "x"},
        {"a": "x", "c": "y"},
        {"a": "x"},
        {"a": "x", "b": "y", "c": ""},
        {"a": "x", "sub/b": "y"},
        {"a": "x", "b": "y", "sub/logs/c": "not at the top"},
    ],
)
def test_any_change_of_content_changes_the_digest(tmp_path, files):
    before = tree(tmp_path / "before", {"a": "x", "b": "y"})
    assert keys.folder_digest(tree(tmp_path / "after", files)) != keys.folder_digest(before)


def test_logs_do_not_count(tmp_path):
    folder = tree(tmp_path, {"a": "x"})
    before = keys.folder_digest(folder)
    tree(folder, {"logs/today": "12:00", "logs/deep/er": "more"})
    assert keys.folder_digest(folder) == before
    tree(folder, {"logsheet": "is content"})
    assert keys.folder_digest(folder) != before


def test_the_key_is_a_function_of_type_parameters_and_inputs():
    def key(component=None, **digests: str) -> str:
        return keys.cache_key(component or Write(), digests)

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
    assert keys.cache_key(Write(), digests) == keys.cache_key(Write(), reverse)


@pytest.mark.parametrize("what", ["environment", "code_digest"])
def test_other_code_or_packages_give_another_key(monkeypatch, what):
    before = keys.cache_key(Write(), {})
    monkeypatch.setattr(keys, what, lambda: "another")
    assert keys.cache_key(Write(), {}) != before


def test_the_environment_names_versions():
    found = keys.environment()
    assert {"python", "tensorflow", "tflite-runtime", "apache-beam", "numpy"} <= set(found)
    assert all(version[0].isdigit() for version in found.values())
