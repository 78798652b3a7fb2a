"""The whole answer about a .tflite file, with the real runtimes in their processes."""

import contextlib
import functools
import random
import tempfile
from pathlib import Path
from typing import Any

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.base import UserError
from components.infra_validator.model_report import ModelReport, report_on
from components.targets.profile import load_profile
from components.targets.schema import schema
from edge_agent.features.audio import AudioFeatures
from tests.fixtures import networks
from tests.fixtures.models import tone_model

LOG = """Edge TPU Compiler version 16.0.384591198
Input: model.tflite
Output: model_edgetpu.tflite

Operator                       Count      Status

AVERAGE_POOL_2D                1          Mapped to Edge TPU
FULLY_CONNECTED                1          Mapped to Edge TPU
RESHAPE                        1          Mapped to Edge TPU
SOFTMAX                        1          Mapped to Edge TPU
"""


@functools.cache
def tones() -> bytes:
    return tone_model(("_silence_", "_unknown_", "yes"), AudioFeatures(), 49)


def changed(change: Any) -> bytes:
    """The tone model after `change` of its unpacked form."""
    model = schema().ModelT.InitFromPackedBuf(tones(), 0)
    change(model)
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def report(folder: Path, model: bytes, target: str, log: str | None = None) -> ModelReport:
    file = folder / "model.tflite"
    file.write_bytes(model)
    said = None
    if log is not None:
        said = folder / "said.log"
        said.write_text(log)
    return report_on(file, load_profile(target), said)


def errors(found: ModelReport) -> list[str]:
    return [f["what"] for f in found["findings"] if f["severity"] == "error"]


def board(folder: Path, **budget: int) -> str:
    file = folder / f"board-{'-'.join(map(str, budget.values()))}.toml"
    limits = "\n".join(f"{key} = {value}" for key, value in budget.items())
    own = 'extends = "tflm"\nname = "board"\ntitle = "a board"\nsource = "its data sheet"\n'
    file.write_text(f"{own}[budget]\n{limits}\n")
    return str(file)


def test_a_good_model_runs_and_its_arena_is_measured(tmp_path: Path) -> None:
    found = report(tmp_path, tones(), "tflm")
    assert (found["target"], found["ok"], found["findings"]) == ("tflm", True, [])
    assert {"op": "SOFTMAX", "version": 2, "count": 1, "status": "supported"} in found["ops"]
    assert found["macs"] == 40 * 3
    assert found["bytes"] == len(tones())
    # The codes, and the 40 means beside them, are alive at once.
    assert found["arena_bytes"] is not None
    assert 49 * 40 + 40 < found["arena_bytes"] < 10_000


def test_a_board_is_a_profile_with_a_budget_and_each_limit_is_held(tmp_path: Path) -> None:
    roomy = board(tmp_path, arena_bytes=10_000, flash_bytes=10_000, macs=1_000)
    assert report(tmp_path, tones(), roomy)["ok"]
    tight = report(tmp_path, tones(), board(tmp_path, arena_bytes=3_000, flash_bytes=99, macs=119))
    assert not tight["ok"]
    assert [what.split(":")[0] for what in errors(tight)] == ["arena", "flash", "macs"]
    assert "a board has 3,000" in errors(tight)[0]


def test_vela_answers_for_its_accelerators(tmp_path: Path) -> None:
    found = report(tmp_path, tones(), "ethos-u65-256")
    assert found["ok"]
    assert found["vela"] is not None
    assert found["vela"]["accelerator"] == "ethos-u65-256"
    assert found["vela"]["npu_share"] == 1.0
    assert found["vela"]["cycles"] > 0


def test_a_dynamic_batch_of_one_is_a_warning_and_a_dynamic_window_is_refused(
    tmp_path: Path,
) -> None:
    def batch(model: Any) -> None:
        model.subgraphs[0].tensors[0].shapeSignature = [-1, 49, 40, 1]

    def window(model: Any) -> None:
        model.subgraphs[0].tensors[0].shapeSignature = [1, -1, 40, 1]

    warned = report(tmp_path, changed(batch), "tflm")
    assert warned["ok"]
    assert "batch dimension is dynamic" in warned["findings"][0]["what"]
    refused = report(tmp_path, changed(window), "edgetpu")
    assert not refused["ok"]
    assert "dynamic shape" in errors(refused)[0]
    assert "fixed shape" in refused["findings"][0]["advice"]


def test_what_the_runtime_itself_refuses_is_refused_whatever_the_lint_says(tmp_path: Path) -> None:
    def nonsense(model: Any) -> None:
        # Operators, versions and types are right, but SOFTMAX gives codes from -128 up alone.
        model.subgraphs[0].tensors[7].quantization.zeroPoint = [0]

    for target in ("tflm", "litert", "tflite-runtime-2.14"):
        found = report(tmp_path, changed(nonsense), target)
        assert not found["ok"]
        assert "does not load the model" in errors(found)[0]
    assert found["arena_bytes"] is None
    assert "TFLM does not load it" in found["arena_note"]


def test_the_compilers_log_is_held_against_the_prediction(tmp_path: Path) -> None:
    agreed = report(tmp_path, tones(), "edgetpu", LOG)
    assert agreed["ok"]
    assert agreed["edgetpu_log"] is not None
    assert agreed["edgetpu_log"]["agrees"]
    assert agreed["findings"] == []
    left = LOG.replace(
        "SOFTMAX                        1          Mapped to Edge TPU", "SOFTMAX 1 No"
    )
    refused = report(tmp_path, tones(), "edgetpu", left)
    assert not refused["ok"]
    assert errors(refused) == ["edgetpu_compiler: 1 SOFTMAX: No"]


def test_the_compiler_outvotes_a_refusal_that_was_only_predicted(tmp_path: Path) -> None:
    def newer(model: Any) -> None:
        model.operatorCodes[3].version = 3

    assert not report(tmp_path, changed(newer), "edgetpu")["ok"]
    found = report(tmp_path, changed(newer), "edgetpu", LOG)
    assert found["ok"]
    assert any("SOFTMAX is version 3" in finding["what"] for finding in found["findings"])
    assert any("differ on SOFTMAX" in finding["what"] for finding in found["findings"])


@pytest.mark.parametrize(
    ("target", "log", "said"),
    [
        ("tflm", LOG, "says nothing of tflm"),
        ("edgetpu", "make: *** [all] Error 2", "holds no table of operators"),
        ("edgetpu", LOG + "CONV_2D 1 Mapped to Edge TPU\n", "is of another model"),
        ("edgetpu", "x" * (1024 * 1024 + 1), "larger than"),
    ],
)
def test_a_log_that_does_not_belong_here_is_an_error(
    tmp_path: Path, target: str, log: str, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        report(tmp_path, tones(), target, log)
    assert "said.log" in str(caught.value)


@pytest.mark.slow
def test_gelu_and_float_ends_are_refused_with_what_to_change(tmp_path: Path) -> None:
    made = networks.workshop()
    gelu = report_on(made / "gelu.tflite", load_profile("tflm"))
    assert not gelu["ok"]
    assert "no GELU" in errors(gelu)[0]
    assert "RELU" in gelu["findings"][0]["advice"]
    assert gelu["arena_bytes"] is None
    assert "GELU" in gelu["arena_note"]
    floating = report_on(made / "float_ends.tflite", load_profile("edgetpu"))
    assert not floating["ok"]
    assert any("floating-point tensors" in what for what in errors(floating))
    assert report_on(made / "float_ends.tflite", load_profile("litert"))["ok"]


def survives(seed: int, flips: int, target: str) -> None:
    """A file with flipped bits gives a report or a plain error; this process lives on."""
    chance = random.Random(seed)
    corrupt = bytearray(tones())
    for _ in range(flips):
        corrupt[chance.randrange(len(corrupt))] ^= 1 << chance.randrange(8)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(UserError):
        found = report(Path(folder), bytes(corrupt), target)
        assert found["ok"] == (not errors(found))


@pytest.mark.parametrize("seed", range(5))
def test_a_corrupt_model_never_takes_the_process_with_it(seed: int) -> None:
    survives(seed, 1 + seed % 3, "tflite-runtime-2.14")


@pytest.mark.fuzz
@given(st.integers(0), st.integers(1, 8), st.sampled_from(["tflm", "edgetpu", "litert"]))
@settings(max_examples=400)
def test_corrupt_models_by_the_hundred(seed: int, flips: int, target: str) -> None:
    survives(seed, flips, target)
