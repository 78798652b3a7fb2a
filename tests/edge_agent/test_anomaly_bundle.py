"""Bundles for anomaly detection: packed, read back, refused where wrong, and self-tested."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import selftest
from edge_agent.bundle.archive import Bundle, BundleError, describe_files, pack, unpack
from edge_agent.bundle.manifest import AnomalyManifest, KeywordManifest, encode_manifest
from edge_agent.classification import ClassifierError
from edge_agent.keyword.classifier import KeywordClassifier
from edge_agent.selftest import SelfTestError
from edge_agent.watching.bundle import WatchError, open_scorer
from tests.fixtures.anomaly_bundles import CHANNELS, SETTINGS, anomaly_bundle, machine_rows
from tests.fixtures.bundles import bundle_parts, npy_bytes

WHOLE = anomaly_bundle()
BUNDLE = unpack(WHOLE)


def with_manifest(change) -> Bundle:
    content = json.loads(encode_manifest(BUNDLE.manifest))
    change(content)
    return unpack(pack(json.dumps(content).encode(), BUNDLE.files))


def with_file(name: str, array) -> Bundle:
    files = {**BUNDLE.files, name: npy_bytes(np.asarray(array))}
    manifest = dataclasses.replace(BUNDLE.manifest, files=describe_files(files))
    return unpack(pack(encode_manifest(manifest), files))


def test_a_bundle_needs_no_model_and_equal_rows_give_equal_bytes():
    manifest = BUNDLE.manifest
    assert isinstance(manifest, AnomalyManifest)
    assert manifest.scoring == SETTINGS
    assert tuple(channel.name for channel in manifest.channels) == CHANNELS
    assert not any(name.endswith(".tflite") for name in BUNDLE.files)
    assert anomaly_bundle() == WHOLE


def test_the_scorer_of_a_bundle_scores_as_the_one_that_learned():
    scorer = open_scorer(BUNDLE)
    golden = BUNDLE.array("golden/scores.npy")
    found = scorer.process(machine_rows(2000)[: len(golden)]).score
    np.testing.assert_allclose(found, golden, rtol=1e-12)


def test_a_keyword_bundle_of_the_first_schema_is_still_read():
    manifest, files = bundle_parts()
    content = json.loads(encode_manifest(manifest))
    content["schema_version"] = "1.0"
    bundle = unpack(pack(json.dumps(content).encode(), files))
    assert isinstance(bundle.manifest, KeywordManifest)
    assert bundle.manifest == dataclasses.replace(manifest, schema_version="1.0")


def test_a_bundle_for_the_other_workload_is_refused_by_name():
    manifest, files = bundle_parts()
    with pytest.raises(WatchError, match="for keyword_spotting, not for anomaly_detection"):
        open_scorer(Bundle(manifest, "", files))
    with pytest.raises(ClassifierError, match="for anomaly_detection, not for keyword_spotting"):
        KeywordClassifier(BUNDLE.manifest, BUNDLE.files)


def test_a_bundle_that_asks_for_a_newer_agent_is_refused():
    with pytest.raises(WatchError, match="update agent"):
        open_scorer(with_manifest(lambda c: c["minimum"].update(agent="99.0")))


BAD_MANIFESTS = {
    "different names": lambda c: c["channels"].append(c["channels"][0]),
    "longest_still": lambda c: c["channels"][0].update(longest_still=0),
    "golden.tolerance": lambda c: c["golden"].update(tolerance=-1.0),
    "not listed in files": lambda c: c["parameters"].update(x="parameters/none.npy"),
    "names no detector": lambda c: c["scoring"].update(detectors={}),
    "pca needs": lambda c: c["scoring"]["detectors"]["pca"].update(lags=1000),
    "smoothing must": lambda c: c["scoring"].update(smoothing=0),
    "scoring.per_machine": lambda c: c["scoring"].update(per_machine=["weather"]),
    "scoring.alarm": lambda c: c["scoring"]["alarm"].update(persistence=0),
    "scoring.threshold: is missing": lambda c: c["scoring"].pop("threshold"),
    "workload: 'mining' is not one of": lambda c: c.update(workload="mining"),
}


@pytest.mark.parametrize("message", BAD_MANIFESTS)
def test_a_manifest_that_cannot_be_used_says_where(message):
    with pytest.raises(BundleError, match=message):
        with_manifest(BAD_MANIFESTS[message])


@settings(max_examples=60)
@given(st.data())
def test_any_value_anywhere_in_the_manifest_is_read_or_refused(data):
    def change(content):
        table = content
        while True:
            keys = sorted(table) if isinstance(table, dict) else list(range(len(table)))
            key = data.draw(st.sampled_from(keys))
            inner = table[key]
            if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
                break
            table = inner
        scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        table[key] = data.draw(scalars | st.lists(scalars, max_size=3))

    try:
        scorer = open_scorer(with_manifest(change))
    except (BundleError, WatchError):
        return
    assert len(scorer.process(machine_rows(5)).score) == 5


def test_the_self_test_passes_and_says_what_it_found():
    result = selftest.run(BUNDLE)
    assert (result.runtime, result.version) == ("numpy", np.__version__)
    assert result.max_lsb <= result.tolerance
    assert result.vectors == len(BUNDLE.array("golden/rows.npy"))


def test_a_difference_beyond_the_tolerance_fails():
    scores = BUNDLE.array("golden/scores.npy").copy()
    scores[-1] += 0.01
    with pytest.raises(SelfTestError, match=r"differs from the golden scores by 0\.01"):
        selftest.run(with_file("golden/scores.npy", scores))


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("golden/rows.npy", np.zeros((64, 4))),
        ("golden/rows.npy", np.zeros((64, 3), np.float32)),
        ("golden/scores.npy", np.zeros(3)),
        ("golden/scores.npy", np.full(64, np.nan)),
        ("parameters/threshold.levels.npy", np.zeros(3, np.float32)),
        ("parameters/normaliser.scale.npy", np.zeros(3, np.float32)),
        ("parameters/normaliser.scale.npy", np.ones(3)),
        ("parameters/detector.pca.plane.npy", np.ones((5, 2), np.float32)),
    ],
)
def test_arrays_that_do_not_fit_fail(name, array):
    with pytest.raises(SelfTestError, match="build"):
        selftest.run(with_file(name, array))
