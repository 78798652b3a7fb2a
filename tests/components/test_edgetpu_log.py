import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.targets.edgetpu_log import LogError, compare, findings, parse_log
from components.targets.graph import Graph, Operator, Tensor
from components.targets.lint import lint
from components.targets.profile import load_profile

PRINTED = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 112 ms.

Input model: model.tflite
Input size: 31.70KiB
Output model: model_edgetpu.tflite
Output size: 96.32KiB
On-chip memory used for caching model parameters: 33.00KiB
On-chip memory remaining for caching model parameters: 7.62MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 3
Operation log: model_edgetpu.log

Operator                       Count      Status

CONV_2D                        2          Mapped to Edge TPU
SOFTMAX                        1          Mapped to Edge TPU
Compilation child process completed within timeout period.
Compilation succeeded!
"""
LIMITED = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
WRITTEN = f"""Edge TPU Compiler version 16.0.384591198
Input: model.tflite
Output: model_edgetpu.tflite

Operator                       Count      Status

CONV_2D                        1          Mapped to Edge TPU
CONV_2D                        1          {LIMITED}
SOFTMAX                        1          More than one subgraph is not supported
"""
FAILED = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.
Invalid model: model.tflite
Model not quantized
Compilation failed: could not parse the model
"""


def graph(*operators: tuple[str, int]) -> Graph:
    tensor = Tensor(
        name="t",
        dtype="int8",
        shape=(1, 8, 8, 4),
        signature=(1, 8, 8, 4),
        quantisation=None,
        constant=False,
    )
    return Graph(
        operators=tuple(
            Operator(name=name, version=version, inputs=(0,), outputs=(0,), macs=0)
            for name, version in operators
        ),
        tensors=(tensor,),
        inputs=(0,),
        outputs=(0,),
        size_bytes=1000,
    )


THREE = graph(("CONV_2D", 3), ("CONV_2D", 3), ("SOFTMAX", 2))


def held(text: str, model: Graph = THREE):
    log = parse_log(text)
    comparison = compare(log, model, lint(model, load_profile("edgetpu")))
    return comparison, findings(log, comparison)


def test_a_log_that_says_what_was_predicted_agrees():
    comparison, found = held(PRINTED)
    assert comparison == {
        "version": "16.0.384591198",
        "model": "model.tflite",
        "failure": "",
        "whole": True,
        "agrees": True,
        "differences": [],
    }
    assert found == []
    assert held(PRINTED.replace("\n", "\r\n"))[0] == comparison


def test_what_the_compiler_left_is_refused_and_the_prediction_corrected():
    comparison, found = held(WRITTEN)
    assert not comparison["whole"]
    assert comparison["differences"][0] == {
        "op": "CONV_2D",
        "status": "Mapped to Edge TPU",
        "predicted": 2,
        "compiled": 1,
    }
    errors = [f["what"] for f in found if f["severity"] == "error"]
    assert len(errors) == 2
    assert "1 SOFTMAX: More than one subgraph" in errors[1]
    assert all(f["advice"] for f in found)


def test_a_second_subgraph_is_refused():
    comparison, found = held(PRINTED.replace("subgraphs: 1", "subgraphs: 2"))
    assert not comparison["whole"]
    assert [f["what"] for f in found] == ["edgetpu_compiler made 2 subgraphs"]


def test_a_failed_compilation_is_refused_in_its_own_words():
    comparison, found = held(FAILED)
    assert (comparison["whole"], comparison["agrees"]) == (False, False)
    assert comparison["differences"] == []
    assert "Invalid model: model.tflite; Model not quantized" in found[0]["what"]


def test_a_whole_mapping_of_other_counts_does_not_overrule_the_prediction():
    comparison, found = held(PRINTED, graph(*[("CONV_2D", 3)] * 5, ("SOFTMAX", 2)))
    assert not comparison["whole"]
    assert "5 predicted, 2 compiled" in found[0]["what"]


def test_the_log_of_another_model_or_of_several_is_said_to_be_one():
    with pytest.raises(LogError, match=r"another model: it lists CONV_2D, SOFTMAX"):
        held(PRINTED, graph(("CONV_2D", 3), ("ADD", 2)))
    with pytest.raises(LogError, match="results of 2 models"):
        parse_log(PRINTED + PRINTED)
    with pytest.raises(LogError, match="no table of operators"):
        parse_log("make: *** [all] Error 2\n")


@given(st.text(max_size=300) | st.text(alphabet="OPR perator Count Status12\n\t", max_size=300))
def test_no_text_crashes_the_reader(tail):
    for text in (tail, PRINTED + tail, "Operator   Count   Status\n" + tail):
        with contextlib.suppress(LogError):
            parse_log(text)
