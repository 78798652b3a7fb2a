"""``python -m pipeline sensitivity`` on what a run recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.command_line import parse
from pipeline.lineage.store import LineageStore
from tests.fixtures.apart import with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features
from tests.fixtures.lineage_runs import Recorder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a run of a Transform and a Trainer, which left its folders empty."""
    store = LineageStore.at(tmp_path)
    recorder = Recorder(store, tmp_path)
    recorder.step("Transform", {}, "features", "Features")
    recorder.step("Trainer", {"features": "features"}, "model", "Model")
    recorder.end()
    store.close()
    return tmp_path


def sensitivity(root: Path, *words: str) -> int:
    return main(parse(["pipeline", "sensitivity", "latest", "--root", str(root), *words]))


@pytest.mark.slow
def test_the_layers_of_a_run_are_listed_with_what_rounding_costs(root, capsys):
    fill(root)
    assert sensitivity(root, "--of", "Trainer", "--bits", "4", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["clips"] == 64
    weights = [row for row in said["layers"] if row["what"] == "weights"]
    assert {row["bits"] for row in weights} == {4}
    assert sum(row["kind"] == "Conv2D" for row in weights) == 3


@with_tensorflow
def fill(root: Path) -> None:
    from components.models import registry

    (run,) = (root / "try" / "runs").iterdir()
    write_features(run / "Transform" / "features")
    model = registry.build("streaming_resnet", FRAMES, CHANNELS, len(LABELS), (4,))
    model.save(run / "Trainer" / "model" / "model.h5")


def test_a_component_that_the_run_has_not_is_named_with_those_it_has(root, capsys):
    assert sensitivity(root) == 1
    assert "no Distiller with a model; there are Trainer" in capsys.readouterr().err


def test_a_model_that_cannot_be_read_is_named(root, capsys):
    assert sensitivity(root, "--of", "Trainer") == 1
    assert "model.h5: cannot be swept" in capsys.readouterr().err


@pytest.mark.parametrize("bits", ["", "1", "8;4", "17", "four"])
def test_bits_out_of_range_are_refused(root, bits, capsys):
    assert sensitivity(root, "--bits", bits) == 1
    assert "give numbers of 2 to 16" in capsys.readouterr().err
