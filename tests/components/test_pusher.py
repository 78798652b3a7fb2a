"""The Pusher: gates, versions, the trust root, and what it leaves behind."""

import json
from pathlib import Path

import pytest

from components.artifacts import Gate, read_json, write_gates
from components.base import UserError
from components.pusher.component import Pusher, PusherParameters
from components.pusher.executor import execute
from edge_agent.update import install
from fleet.repository import Repository
from tests.fixtures.bundles import make_bundle

PASSED = Gate(name="int8_drop", value=0.004, limit=0.01, passed=True)
FAILED = Gate(name="int8_drop", value=0.04, limit=0.01, passed=False, advice="Train for longer.")


class Step:
    """A Pusher step with its inputs on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs = {name: folder / name for name in Pusher.INPUTS}
        self.outputs = {"release": folder / "release"}
        for path in (*self.inputs.values(), *self.outputs.values()):
            path.mkdir()
        self.bundle(0)
        self.gates("evaluation", PASSED)
        self.gates("infra_validation", PASSED)

    def bundle(self, number: int) -> None:
        make_bundle(self.inputs["bundle"] / "candidate.bundle", lineage=f"{number:064x}")

    def gates(self, name: str, *gates: Gate) -> None:
        write_gates(self.inputs[name], gates)

    def run(self, **parameters: str):
        where = {
            "repository": str(self.folder / "var" / "repository"),
            "root_json": str(self.folder / "var" / "root.json"),
        }
        return execute(self.inputs, self.outputs, PusherParameters(**{**where, **parameters}))

    def release(self):
        return read_json(self.outputs["release"] / "release.json")


@pytest.fixture
def step(tmp_path) -> Step:
    return Step(tmp_path)


def test_a_blessed_bundle_becomes_a_release_that_a_device_installs(step, tmp_path):
    metrics = step.run()
    size = (step.inputs["bundle"] / "candidate.bundle").stat().st_size
    assert metrics == {"new": 1.0, "bytes": float(size)}
    release = step.release()
    assert (release["name"], release["version"], release["new"]) == (
        "keyword_spotting",
        "1.0.0",
        True,
    )
    result = install.run(
        str(tmp_path / "var/repository"),
        tmp_path / "var/root.json",
        tmp_path / "device",
        "keyword_spotting",
    )
    assert result["digest"] == release["digest"]


def test_the_same_bundle_again_is_the_same_release(step, capsys):
    step.run()
    first = step.release()
    assert step.run(version="5.0.0")["new"] == 0.0
    assert step.release() == {**first, "new": False}
    assert "already released as keyword_spotting 1.0.0" in capsys.readouterr().err


def test_the_next_bundle_gets_the_next_or_the_wanted_version(step):
    step.run()
    step.bundle(1)
    step.run()
    assert step.release()["version"] == "1.0.1"
    step.bundle(2)
    step.run(version="2.0.0")
    assert step.release()["version"] == "2.0.0"
    step.bundle(3)
    with pytest.raises(UserError, match=r"2\.0\.0 is already released"):
        step.run(version="2.0.0")


@pytest.mark.parametrize("where", ["evaluation", "infra_validation"])
def test_a_failed_gate_refuses_with_its_figures_and_advice(step, where):
    step.gates(where, PASSED, FAILED)
    with pytest.raises(UserError, match=r"int8_drop: 0\.04, limit 0\.01\. Train for longer\."):
        step.run()
    assert not (step.folder / "var").exists()
    assert not list(step.outputs["release"].iterdir())


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '[{"name": "x"}]', "[1]"])
def test_without_readable_gates_nothing_is_released(step, content):
    path = step.inputs["evaluation"] / "gates.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"gates\.json"):
        step.run()
    assert not (step.folder / "var").exists()


def test_the_trust_root_is_never_replaced_by_another_repositorys(step, tmp_path):
    step.run()
    before = (tmp_path / "var/root.json").read_bytes()
    assert before == Repository(tmp_path / "var/repository").trust_roots()[0]
    with pytest.raises(UserError, match="is not a trust root of the repository"):
        step.run(repository=str(tmp_path / "elsewhere" / "repository"))
    assert (tmp_path / "var/root.json").read_bytes() == before
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_bundle_is_refused(step):
    (step.inputs["bundle"] / "candidate.bundle").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"candidate\.bundle"):
        step.run()
    assert not (step.folder / "var").exists()


@pytest.mark.parametrize("repository", ["", "https://updates.example/repository"])
def test_only_a_folder_can_be_published_to(step, repository):
    with pytest.raises(UserError, match=r"Pusher\.repository"):
        step.run(repository=repository)


def test_a_trust_root_that_cannot_be_written_is_named(step, tmp_path):
    (tmp_path / "var").mkdir()
    (tmp_path / "var/file").write_text("")
    with pytest.raises(UserError, match=r"file.root\.json"):
        step.run(root_json=str(tmp_path / "var/file/root.json"))


def test_release_json_is_what_the_contract_says(step):
    step.run()
    text = (step.outputs["release"] / "release.json").read_text()
    assert set(json.loads(text)) == {"name", "version", "target", "digest", "new"}
