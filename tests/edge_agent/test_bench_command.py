"""``bench BUNDLE``: what a bundle of any workload costs here."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from edge_agent.__main__ import main
from edge_agent.bundle import archive
from edge_agent.command_line import parse
from edge_agent.costs import measure
from tests.fixtures.anomaly_bundles import write_anomaly_bundle
from tests.fixtures.bundles import make_bundle
from tests.fixtures.picture_bundles import write_picture_bundle


def bench(capsys, *words) -> tuple[int, str, str]:
    code = main(parse(["edge_agent", "bench", *map(str, words)]))
    return (code, *capsys.readouterr())


@pytest.mark.parametrize("runtime", ["litert", "tflite_runtime"])
def test_sound_costs_cpu_a_second_of_which_the_features_take_a_part(tmp_path, capsys, runtime):
    path = make_bundle(tmp_path / "words.bundle")
    code, out, _ = bench(capsys, path, "--json", "--seconds", 3, "--runtime", runtime)
    told = json.loads(out)
    assert (code, told["runtime"], told["budget_ms"]) == (0, runtime, 50.0)
    assert told["inferences"] == 3 * 1000 // 60
    assert 0 < told["median_ms"] <= told["p95_ms"] <= told["worst_ms"]
    assert 0 < told["features_ms_per_second"] < told["cpu_ms_per_second"] < 1000
    assert told["memory_bytes"] > 10_000_000


def test_more_sound_takes_no_more_memory(tmp_path):
    bundle = archive.read(make_bundle(tmp_path / "words.bundle"))
    measure(bundle, seconds=3)
    tracemalloc.start()
    measure(bundle, seconds=40)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000


@pytest.mark.parametrize("make", [write_anomaly_bundle, write_picture_bundle])
def test_rows_and_pictures_have_no_seconds(tmp_path, capsys, make):
    make(tmp_path / "a.bundle")
    code, out, _ = bench(capsys, tmp_path / "a.bundle", "--json")
    told = json.loads(out)
    assert (code, told["cpu_ms_per_second"], told["features_ms_per_second"]) == (0, None, None)
    assert told["inferences"] >= 500
    assert 0 < told["median_ms"] <= told["worst_ms"]


def test_a_person_reads_a_table(tmp_path, capsys):
    path = make_bundle(tmp_path / "words.bundle")
    code, out, _ = bench(capsys, path, "--seconds", 3)
    assert code == 0
    assert "CPU of a second of sound" in out
    assert "the bundle's budget" in out


def test_what_cannot_be_measured_is_said(tmp_path, capsys):
    path = make_bundle(tmp_path / "words.bundle")
    assert bench(capsys, path, "--seconds", 0)[0] == 1
    code, _, err = bench(capsys, tmp_path / "none.bundle")
    assert (code, "none.bundle" in err) == (1, True)
