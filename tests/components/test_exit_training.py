"""EarlyExit: a trained int8 network cut in two, an exit on what passes, and who may leave by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import read_json
from components.base import UserError
from components.early_exit import executor
from components.early_exit.component import EarlyExitParameters
from components.early_exit.cut import cut
from components.early_exit.executor import execute
from components.early_exit.int8 import exit_model
from components.early_exit.leaving import NEVER, leaving_threshold
from components.early_exit.linear import Linear, fit
from components.early_exit.trained import read_early_exit
from components.evaluator.early import EarlyExitScorer, early_exit_figures
from components.infra_validator.reference import reference_outputs
from components.targets.flatbuffer import parse_graph
from components.targets.lint import lint
from components.targets.profile import load_profile
from edge_agent.bundle.manifest import DetectionPolicy
from edge_agent.runtime import open_model
from tests.fixtures import networks
from tests.fixtures.features import FRAMES, FRONT_END, LABELS, write_features
from tests.fixtures.models import strided_tone_model, tone_model

TOP = Path(__file__).resolve().parents[2]
POLICY = DetectionPolicy(
    hop_frames=1, smoothing=3, thresholds={}, refractory_ms=0, clip_hops=(-1, 0, 1)
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain-int8", "aware-int8"])
def test_the_two_parts_in_a_row_give_to_the_bit_what_the_whole_gives(name: str) -> None:
    whole = (networks.workshop() / name / "model.tflite").read_bytes()
    codes = networks.windows(20, seed=3)
    wanted, graph = reference_outputs(whole, codes), parse_graph(whole)
    for spend in (0.3, 0.9995):
        parts = cut(whole, spend)
        trunk, rest = parse_graph(parts.trunk), parse_graph(parts.rest)
        assert trunk.macs + rest.macs == graph.macs
        assert 0 < trunk.macs < graph.macs
        assert len(trunk.operators) + len(rest.operators) == len(graph.operators)
        assert max(len(parts.trunk), len(parts.rest)) < len(whole)
        passed = reference_outputs(parts.trunk, codes)
        np.testing.assert_array_equal(reference_outputs(parts.rest, passed), wanted)


@pytest.mark.slow
def test_nothing_is_cut_where_two_tensors_pass() -> None:
    whole = (networks.workshop() / "plain-int8" / "model.tflite").read_bytes()
    names = [operator.name for operator in parse_graph(whole).operators]
    branches = names.index("ADD")
    cuts = [cut(whole, spend) for spend in np.linspace(0.3, 0.9995, 40)]
    lengths = {len(parse_graph(parts.trunk).operators) for parts in cuts}
    assert lengths == {1, branches + 1}


@pytest.mark.slow
def test_too_little_to_spend_is_refused_with_the_share_of_the_first_place() -> None:
    whole = (networks.workshop() / "plain-int8" / "model.tflite").read_bytes()
    with pytest.raises(
        UserError, match=r"spend=0.01: .* the first is behind \d+.\d%: set it higher"
    ):
        cut(whole, 0.01)


def test_a_network_with_no_place_for_an_exit_is_refused() -> None:
    with pytest.raises(UserError, match=r"no place for an exit, .*set it to 0, or take another"):
        cut(tone_model(LABELS, FRONT_END, FRAMES), 0.9)


@pytest.mark.slow
def test_the_exit_in_int8_decides_as_its_linear_layer_and_runs_everywhere() -> None:
    whole = (networks.workshop() / "plain-int8" / "model.tflite").read_bytes()
    parts = cut(whole, 0.5)
    passed = reference_outputs(parts.trunk, networks.windows(200, seed=4))
    trunk = open_model(parts.trunk, runtime="tflite_runtime")
    real = (passed.astype(np.float32) - trunk.output.zero_point) * np.float32(trunk.output.scale)
    pooled = real.reshape(len(real), *trunk.output.shape[1:]).mean(axis=1).reshape(len(real), -1)
    random = np.random.default_rng(1)
    weights = random.normal(0, 2.0 / pooled.std(), (3, pooled.shape[1])).astype(np.float32)
    linear = Linear(weights=weights, bias=-(weights @ pooled.mean(0)))
    model = exit_model(parts.rest, linear, pooled)
    assert model == exit_model(parts.rest, linear, pooled)
    graph = parse_graph(model)
    assert graph.float_tensors == ()
    for target in ("tflm", "tflite-runtime-2.14", "litert", "edgetpu"):
        assert lint(graph, load_profile(target))["ok"], target
    found = (reference_outputs(model, passed).astype(np.float32) + 128) / 256
    logits = linear.logits(pooled)
    wanted = np.exp(logits - logits.max(1, keepdims=True))
    wanted /= wanted.sum(1, keepdims=True)
    assert np.abs(found - wanted).mean() < 0.02
    assert (found.argmax(1) == wanted.argmax(1)).mean() > 0.95


@given(
    st.lists(
        st.tuples(st.integers(1, 20), st.booleans()).map(lambda t: (t[0] / 21, t[1])),
        min_size=1,
        max_size=60,
    ),
    st.floats(0.5, 1.0),
)
def test_the_threshold_keeps_its_agreement_and_no_lower_one_would(rows, agreement) -> None:
    sure = np.array([s for s, _ in rows], np.float32)
    same = np.array([s for _, s in rows])
    early = np.stack([sure, np.zeros_like(sure)], 1)
    late = np.where(same[:, None], early, early[:, ::-1])
    threshold = leaving_threshold(early, late, agreement)
    assert np.mean(same | (sure < threshold)) >= agreement - 1e-6
    lower = sure[sure < threshold]
    if len(lower):
        assert np.mean(same | (sure < lower.max())) < agreement + 1e-6


def test_an_exit_that_is_surest_where_it_is_wrong_lets_nobody_leave() -> None:
    early = np.float32([[0.9, 0.1], [0.8, 0.2]])
    assert leaving_threshold(early, early[:, ::-1], 0.99) == NEVER


@pytest.mark.parametrize("known", [(0, 1, 2, 3), (0, 2, 3), (1, 3)])
def test_a_label_without_rows_is_never_said(known: tuple[int, ...]) -> None:
    random = np.random.default_rng(2)
    label = np.repeat(np.array(known, np.int32), 40)
    middle = random.normal(0, 3, (4, 6))
    pooled = (middle[label] + random.normal(0, 0.3, (len(label), 6))).astype(np.float32)
    linear = fit(pooled, label, 4)
    assert linear.weights.shape == (4, 6)
    said = linear.logits(pooled).argmax(1)
    assert (said == label).mean() > 0.97
    assert set(said) <= set(known)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"spend": 1.0}, "above 0 and below 1, or 0 for no exit"),
        ({"agreement": 0.0}, "above 0, to 1"),
        ({"rows": 10}, "100 to 1000000"),
    ],
)
def test_parameters_out_of_range_are_refused(values, said) -> None:
    with pytest.raises(ValueError, match=said):
        EarlyExitParameters(**values)


def test_without_spend_there_is_none_and_nothing_of_the_features_is_read(tmp_path: Path) -> None:
    assert execute({"features": tmp_path}, {"early_exit": tmp_path}, EarlyExitParameters()) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["early_exit.json"]
    assert read_early_exit(tmp_path) is None
    assert read_early_exit(None) is None


def test_a_run_without_an_exit_loads_nothing_to_train_one(tmp_path: Path) -> None:
    (tmp_path / "exit").mkdir()
    program = (
        "import sys; from pathlib import Path; from components.early_exit.component import *; "
        "from components.early_exit.executor import execute; "
        "execute({}, {'early_exit': Path(sys.argv[1])}, EarlyExitParameters()); "
        "sys.exit('sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "exit"], cwd=TOP, check=True)


def test_an_exit_by_which_nobody_may_leave_is_none_and_the_run_says_so(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    write_features(tmp_path / "features")
    for name in ("model", "exit"):
        (tmp_path / name).mkdir()
    whole = strided_tone_model(LABELS, FRONT_END, FRAMES)
    (tmp_path / "model" / "model.tflite").write_bytes(whole)
    monkeypatch.setattr(executor, "leaving_threshold", lambda *_: NEVER)
    inputs = {"features": tmp_path / "features", "model": tmp_path / "model"}
    metrics = execute(inputs, {"early_exit": tmp_path / "exit"}, EarlyExitParameters(spend=0.5))
    assert metrics["left"] == 0.0
    assert [path.name for path in (tmp_path / "exit").iterdir()] == ["early_exit.json"]
    assert read_early_exit(tmp_path / "exit") is None
    assert "there will be no early exit" in capsys.readouterr().err


def test_sure_windows_leave_and_what_that_spares_is_counted_on_streams(tmp_path: Path) -> None:
    features = write_features(tmp_path / "features")
    (tmp_path / "model").mkdir()
    whole = strided_tone_model(LABELS, FRONT_END, FRAMES)
    (tmp_path / "model" / "model.tflite").write_bytes(whole)
    (tmp_path / "exit").mkdir()
    inputs = {"features": tmp_path / "features", "model": tmp_path / "model"}
    metrics = execute(
        inputs, {"early_exit": tmp_path / "exit"}, EarlyExitParameters(spend=0.5, agreement=0.5)
    )
    content = read_json(tmp_path / "exit" / "early_exit.json")
    assert set(content["left"]) == set(LABELS)
    assert metrics["left"] > 0

    trained = read_early_exit(tmp_path / "exit")
    scorer = EarlyExitScorer(trained)
    test = features.split("test")
    windows = features.centred(np.asarray(test.codes))
    found, left = scorer(windows), scorer.left(windows)[:, 0].astype(bool)
    alone = open_model(whole, runtime="litert")
    late = np.stack([(alone.invoke(np.ascontiguousarray(w)) + 128.0) / 256 for w in windows])
    np.testing.assert_allclose(found[~left], late[~left])
    assert (found[left].max(1) >= trained.stated.leaves_at).all()

    figures = early_exit_figures(scorer, trained, features, POLICY)
    assert set(figures["left"]) == set(LABELS)
    for stream in ("other_sound", "words_and_pauses"):
        assert figures[stream]["windows"] >= figures[stream]["went_on"] >= 0
