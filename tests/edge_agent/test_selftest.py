"""The self-test: passes on both runtimes, fails by a figure when a runtime differs."""

import dataclasses

import numpy as np
import pytest

from edge_agent import selftest
from edge_agent.bundle.archive import Bundle, BundleError, read_array
from edge_agent.runtime import open_model
from edge_agent.selftest import SelfTestError
from tests.fixtures.bundles import LABELS, MODEL, bundle_parts, npy_bytes

MANIFEST, FILES = bundle_parts()


def run(*, files=None, tolerance=None, runtime="auto"):
    golden = MANIFEST.golden
    if tolerance is not None:
        golden = dataclasses.replace(golden, tolerance=tolerance)
    manifest = dataclasses.replace(MANIFEST, golden=golden)
    return selftest.run(Bundle(manifest, "", {**FILES, **(files or {})}), runtime=runtime)


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_passes_on_either_runtime_and_says_what_it_found(runtime):
    result = run(runtime=runtime)
    assert result.runtime == runtime
    assert result.vectors == len(LABELS)
    assert 0 <= result.max_lsb <= result.tolerance == 7


def test_a_difference_beyond_the_tolerance_fails_and_one_within_it_passes():
    golden = read_array(FILES, "golden_outputs.npy").copy()
    model = open_model(FILES[MODEL], runtime="litert")
    golden[:] = [model.invoke(codes) for codes in read_array(FILES, "golden_inputs.npy")]
    golden[2, golden[2].argmax()] -= 4
    files = {"golden_outputs.npy": npy_bytes(golden)}
    assert run(files=files, tolerance={"litert": 4}, runtime="litert").max_lsb == 4
    with pytest.raises(SelfTestError, match=r"differs .* by 4 steps, and 3 are allowed"):
        run(files=files, tolerance={"litert": 3}, runtime="litert")


def test_a_runtime_that_the_bundle_was_not_checked_on_fails():
    with pytest.raises(SelfTestError, match="not checked on litert: install one of tflite_runtime"):
        run(tolerance={"tflite_runtime": 7}, runtime="litert")


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (np.zeros((5, 49, 40), np.uint8), np.zeros((5, 5), np.int8)),
        (np.zeros((5, 48, 40), np.int8), np.zeros((5, 5), np.int8)),
        (np.zeros((0, 49, 40), np.int8), np.zeros((0, 5), np.int8)),
        (np.zeros((5, 49, 40), np.int8), np.zeros((4, 5), np.int8)),
        (np.array(3, np.int8), np.zeros((5, 5), np.int8)),
    ],
)
def test_vectors_that_do_not_fit_fail(inputs, outputs):
    files = {"golden_inputs.npy": npy_bytes(inputs), "golden_outputs.npy": npy_bytes(outputs)}
    with pytest.raises(SelfTestError, match="do not fit the model"):
        run(files=files)


def test_vectors_that_are_no_arrays_are_named():
    with pytest.raises(BundleError, match=r"golden_inputs\.npy"):
        run(files={"golden_inputs.npy": b"no array"})
