import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.artifacts import Gate, read_gates, write_json
from components.base import UserError
from components.early_exit.cut import cut
from components.early_exit.int8 import exit_model
from components.early_exit.linear import Linear
from components.infra_validator.child_process import Failed
from components.infra_validator.component import InfraValidatorParameters
from components.infra_validator.executor import execute
from components.infra_validator.measure import Measured, measure
from components.infra_validator.parity import compare
from components.infra_validator.reference import reference_outputs
from components.targets.schema import operator_names
from edge_agent.bundle.manifest import EarlyExit
from tests.fixtures import networks
from tests.fixtures.registrations import bare_model

BOARD = """
name = "board"
title = "a board"
source = "a test"
fallback = "tflm"
operators = {}
rules = {dtypes=["int8"], max_rank=4, float_tensors="error", dynamic_shapes="error"}
budget = {arena_bytes=100, flash_bytes=1000000, macs=1000000}
"""


def model(name: str) -> bytes:
    return (networks.workshop() / name).read_bytes()


def validate(
    content: bytes, folder: Path, beside: dict[str, Path] | None = None, **parameters: Any
) -> tuple[dict[str, Any], dict[str, Gate]]:
    """Runs the executor on a model; gives infra_validation.json and the gates by name."""
    (folder / "model").mkdir(parents=True)
    (folder / "result").mkdir()
    (folder / "model" / "model.tflite").write_bytes(content)
    features = networks.write_features(folder / "features")
    chosen = InfraValidatorParameters(
        rows=20, random_rows=10, latency_runs=20, **({"targets": ("tflm", "litert")} | parameters)
    )
    inputs = {"model": folder / "model", "features": features}
    execute(inputs | (beside or {}), {"result": folder / "result"}, chosen)
    content = json.loads((folder / "result" / "infra_validation.json").read_text())
    return content, {gate.name: gate for gate in read_gates(folder / "result")}


@pytest.mark.slow
def test_a_good_model_passes_every_gate_with_measured_figures(tmp_path: Path) -> None:
    content, gates = validate(model("plain-int8/model.tflite"), tmp_path)
    assert {"no_float_tensor", "target:tflm", "target:litert", "tflm_parity"} <= set(gates)
    assert all(gate.passed for gate in gates.values())
    assert content["tflm_parity"]["rows"] == 30
    assert content["tflm_parity"]["verdict"] in {"equal", "within 1 LSB with the same decisions"}
    # The widest moment holds the second convolution's input and output: 14x10x4 and 12x8x4 bytes.
    assert 14 * 10 * 4 + 12 * 8 * 4 < content["arena_bytes"] < 10_000
    assert content["macs"] == 14 * 10 * 4 * 9 + 12 * 8 * 4 * 36 + 12
    assert content["vela"]["npu_share"] == 1.0
    assert content["vela"]["macs"] >= content["macs"]
    assert content["vela"]["cycles"] > 0
    for runtime in ("tflite_runtime", "litert", "tflm"):
        figures = content["runtimes"][runtime]
        assert set(figures) == {"version", "latency_ms", "max_lsb", "decisions_equal"}
        assert figures["latency_ms"] > 0
    linted = {verdict["target"] for verdict in content["targets"]}
    assert {"tflm", "litert", "tflite-runtime-2.14", "edgetpu", "ethos-u55-128"} <= linted


@pytest.mark.slow
def test_a_gate_is_held_to_the_same_and_the_budget_holds_for_both(tmp_path: Path) -> None:
    data = model("plain-int8/model.tflite")
    gate = tmp_path / "gate"
    gate.mkdir()
    (gate / "gate.tflite").write_bytes(data)
    write_json(gate / "gate.json", {"opens_at": 0.5, "macs": 1, "operators": []})
    board = tmp_path / "board.toml"
    one = 14 * 10 * 4 * 9 + 12 * 8 * 4 * 36 + 12
    board.write_text(BOARD.replace("macs=1000000", f"macs={2 * one - 1}"))
    targets = ("tflm", str(board))
    content, gates = validate(data, tmp_path / "run", {"gate": gate}, targets=targets)
    assert content["macs"] == 2 * one
    assert content["gate"]["macs"] == one
    assert content["arena_bytes"] == content["gate"]["arena_bytes"] < 10_000
    for name in ("no_float_tensor", "runs:tflm", "tflm_parity", "target:tflm"):
        assert gates[name].passed
        assert gates[f"gate:{name}"].passed
    assert gates["macs:board"].value == 2 * one
    assert not gates["macs:board"].passed


@pytest.mark.slow
def test_the_parts_of_an_early_exit_are_held_to_the_same_on_what_its_trunk_gives(
    tmp_path: Path,
) -> None:
    data = model("plain-int8/model.tflite")
    parts = cut(data, 0.3)
    passed = 14 * 10 * 4
    linear = Linear(weights=np.eye(3, 40, dtype=np.float32), bias=np.zeros(3, np.float32))
    pooled = np.random.default_rng(0).uniform(0, 6, (50, 40)).astype(np.float32)
    stated = EarlyExit(
        trunk="trunk.tflite", exit="exit.tflite", rest="rest.tflite", leaves_at=0.9,
        trunk_macs=passed * 9, exit_macs=120, rest_macs=1, golden_outputs="golden.npy",
    )  # fmt: skip
    files = {
        "trunk": parts.trunk,
        "exit": exit_model(parts.rest, linear, pooled),
        "rest": parts.rest,
    }
    folder = tmp_path / "exit"
    folder.mkdir()
    for name, content in files.items():
        (folder / f"{name}.tflite").write_bytes(content)
    write_json(
        folder / "early_exit.json", {"early_exit": dataclasses.asdict(stated), "operators": []}
    )
    board, flash = tmp_path / "board.toml", len(data) + len(files["exit"])
    board.write_text(BOARD.replace("flash_bytes=1000000", f"flash_bytes={flash}"))
    targets = ("tflm", str(board))
    content, gates = validate(data, tmp_path / "run", {"early_exit": folder}, targets=targets)
    assert gates["flash:board"].value == flash
    assert content["macs"] == passed * 9 + 12 * 8 * 4 * 36 + 12 + 120
    for name in ("no_float_tensor", "runs:tflm", "tflm_parity", "target:tflm"):
        assert gates[name].passed
        assert gates[f"early_exit:{name}"].passed
        assert gates[f"rest:{name}"].passed


@pytest.mark.slow
def test_a_banned_operator_fails_gates_and_not_the_run(tmp_path: Path) -> None:
    content, gates = validate(model("gelu.tflite"), tmp_path)
    assert not gates["target:tflm"].passed
    assert "GELU" in gates["target:tflm"].advice
    assert not gates["runs:tflm"].passed
    assert "GELU" in gates["runs:tflm"].advice
    assert not gates["tflm_parity"].passed
    assert gates["target:litert"].passed
    assert content["arena_bytes"] is None
    assert content["tflm_parity"]["verdict"] == "not run"
    assert set(content["runtimes"]) == {"tflite_runtime", "litert"}


@pytest.mark.slow
def test_float_ends_fail_the_float_gate_and_say_so(tmp_path: Path) -> None:
    _, gates = validate(model("float_ends.tflite"), tmp_path)
    assert gates["no_float_tensor"].value >= 2
    assert not gates["no_float_tensor"].passed
    assert "not int8" in gates["runs:reference"].advice


@pytest.mark.slow
def test_a_profile_with_a_budget_adds_its_gates(tmp_path: Path) -> None:
    board = tmp_path / "board.toml"
    board.write_text(BOARD)
    _, gates = validate(model("plain-int8/model.tflite"), tmp_path / "run", targets=(str(board),))
    assert not gates["arena:board"].passed
    assert gates["arena:board"].value > gates["arena:board"].limit == 100
    assert gates["flash:board"].passed
    assert gates["macs:board"].passed


@pytest.mark.slow
def test_the_reference_gives_one_row_of_scores_a_window() -> None:
    path = networks.workshop() / "plain-int8" / "model.tflite"
    ran = measure("reference", path, networks.windows(5), 1)
    assert isinstance(ran, Measured)
    outputs = ran.outputs
    assert outputs.dtype == np.int8
    assert outputs.shape == (5, len(networks.LABELS))
    # Softmax in steps of 1/256 from -128: the scores of a window add up to 1.
    assert np.allclose((outputs.astype(int) + 128).sum(axis=1), 256, atol=2)


def test_a_crash_in_native_code_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    # TFLM's MEAN reads its second input without looking whether there is one.
    code = {name: code for code, name in operator_names().items()}["MEAN"]
    file = tmp_path / "crash.tflite"
    file.write_bytes(bare_model(code, 1, used=True))
    ended = measure("tflm", file, np.zeros((1, 1, 1), np.int8), 1)
    assert isinstance(ended, Failed)
    assert "crashed with SIG" in ended.reason


def test_a_model_cut_short_is_refused_by_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.tflite: "):
        validate(b"\x1c\0\0\0TFL3" + bytes(40), tmp_path)
    assert list((tmp_path / "result").iterdir()) == []


def test_the_reference_refuses_to_run_beside_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    with pytest.raises(RuntimeError, match="a process of its own"):
        reference_outputs(b"", np.zeros((1, 1, 1), np.int8))


def test_parity_tells_a_step_from_a_decision() -> None:
    reference = np.array([[10, 9, 0], [5, 5, 0]], np.int8)
    assert compare(reference, reference).verdict == "equal"
    tie = np.array([[10, 9, 0], [4, 5, 0]], np.int8)
    assert compare(tie, reference).verdict == "within 1 LSB with the same decisions"
    other = compare(np.array([[9, 10, 0], [5, 5, 0]], np.int8), reference)
    assert (other.max_lsb, other.decisions_equal, other.verdict) == (1, 0.5, "different")
    extremes = compare(np.array([[127]], np.int8), np.array([[-128]], np.int8))
    assert extremes.max_lsb == 255
