"""What each method of pruning leaves in the int8 file, and where its rounds begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from components.artifacts import EARLY, read_json
from components.base import UserError
from components.infra_validator.measure import Measured, measure
from components.pruner.component import PrunerParameters
from components.targets.flatbuffer import read_graph
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features
from tests.fixtures.tflite_weights import kernels

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {
    "epochs": 1,
    "examples_per_epoch": 64,
    "batch": 32,
    "ema": 0.8,
    "gain": 2.0,
    "threads": THREADS,
}
LEAST = 120


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Artifacts ``features student filter m_by_n``, and ``NAME-int8`` of each model."""
    folder = tmp_path_factory.mktemp("pruned")
    make(folder)
    return folder


@with_tensorflow
def make(folder: Path) -> None:
    from components.converter import executor as converter
    from components.converter.component import ConverterParameters
    from components.pruner import executor as pruner
    from components.trainer import executor as trainer
    from components.trainer.component import TrainerParameters

    def step(executor: Any, name: str, inputs: dict[str, str], parameters: Any) -> None:
        output = folder / name
        output.mkdir()
        found = {key: folder / value for key, value in inputs.items()}
        executor.execute({"features": folder / "features", **found}, {"model": output}, parameters)

    write_features(folder / "features")
    step(trainer, "student", {}, TrainerParameters(widths=(16,), **SHORT))
    student = {"model": "student"}
    step(pruner, "filter", student, PrunerParameters(method="filter", least_channels=2, **SHORT))
    pattern = PrunerParameters(method="m_by_n", m_by_n=(2, 4), least_weights=LEAST, **SHORT)
    step(pruner, "m_by_n", student, pattern)
    for name in ("student", "filter", "m_by_n"):
        step(converter, f"{name}-int8", {"model": name}, ConverterParameters(calibration_rows=8))


def test_filters_by_half_the_macs_halve_what_the_device_computes_and_shrink_its_memory(made):
    before, after = (made / f"{name}-int8" / "model.tflite" for name in ("student", "filter"))
    macs = [read_graph(file).macs for file in (before, after)]
    assert macs[1] <= macs[0] / 2
    assert macs[1] == read_json(made / "filter" / "model.json")["macs"]
    assert after.stat().st_size < 0.8 * before.stat().st_size
    codes = np.zeros((2, FRAMES, CHANNELS), np.int8)
    arenas = []
    for file in (before, after):
        ran = measure("tflm", file, codes, 1)
        assert isinstance(ran, Measured)
        assert ran.arena_bytes is not None
        arenas.append(ran.arena_bytes)
    assert arenas[1] < arenas[0]


def test_of_four_consecutive_weights_two_are_zero_in_the_int8_file(made):
    whole = kernels((made / "student-int8" / "model.tflite").read_bytes())
    pruned = kernels((made / "m_by_n-int8" / "model.tflite").read_bytes())
    large = [kernel.codes for kernel in pruned if kernel.codes.size >= LEAST]
    assert 1 < len(large) <= len(pruned)
    for codes in large:
        rows = codes.reshape(len(codes), -1)
        for start in range(0, rows.shape[1], 4):
            assert (np.count_nonzero(rows[:, start : start + 4], 1) <= 2).all()
        assert np.count_nonzero(codes) > 0.4 * codes.size
    assert all(np.count_nonzero(kernel.codes) > 0.8 * kernel.codes.size for kernel in whole)


def test_the_trainer_keeps_the_weights_to_rewind_to(made):
    assert (made / "student" / EARLY).is_file()
    differ(made)


@with_tensorflow
def differ(made: Path) -> None:
    import tf_keras as keras

    trained = keras.models.load_model(made / "student" / "model.h5", compile=False)
    early = keras.models.clone_model(trained)
    early.load_weights(made / "student" / EARLY)
    # They are the initial ones: batch normalisation has seen nothing.
    for layer in early.layers:
        if type(layer).__name__ == "BatchNormalization":
            assert np.array_equal(layer.gamma, np.ones_like(layer.gamma))
            assert not np.any(layer.moving_mean)
    assert any(
        np.any(a != b) for a, b in zip(early.get_weights(), trained.get_weights(), strict=True)
    )


@pytest.mark.parametrize("rewind", ["none", "early", "random"])
def test_each_round_begins_with_the_weights_that_rewind_names(made, rewind):
    begins(made, rewind)


@with_tensorflow
def begins(made: Path, rewind: Any) -> None:
    import tf_keras as keras

    from components.pruner import masked

    model = keras.models.load_model(made / "student" / "model.h5", compile=False)
    young = keras.models.clone_model(model)
    young.load_weights(made / "student" / EARLY)
    before, early = large_kernels(model), large_kernels(young)
    rounds: list[list[np.ndarray]] = []
    folders: list[Path] = []

    def retrain(model: Any, *arguments: Any, keep: Any) -> dict[str, list[float]]:
        folders.append(arguments[-1])
        rounds.append(large_kernels(model))
        assert sum((mask == 0).sum() for mask in keep.values()) == zeros(rounds[-1])
        # Training, as far as pruning sees it: each weight changes, but the zeros.
        model.set_weights([1.5 * weight for weight in model.get_weights()])
        return {"validation_loss": [0.0]}

    parameters = PrunerParameters(
        method="iterative",
        rewind=rewind,
        rounds=2,
        final_sparsity=0.75,
        least_weights=LEAST,
        **SHORT,
    )
    with mock.patch.object(masked.loop, "fit", retrain):
        pruned = masked.prune_iteratively(
            model, None, parameters, made / "out", made / "student" / EARLY
        )
    assert [folder.relative_to(made).as_posix() for folder in folders] == [
        "out/.checkpoint/round-0",
        "out",
    ]
    size = sum(kernel.size for kernel in before)
    assert [zeros(kernels_) / size for kernels_ in rounds] == pytest.approx([0.5, 0.75], abs=0.01)
    assert zeros(large_kernels(pruned.model)) == zeros(rounds[1])
    first = {"none": before, "early": early, "random": early}[rewind]
    agree(rounds[0], first)
    match rewind:
        case "none":
            agree(rounds[1], [1.5 * kernel for kernel in rounds[0]])
        case "early":
            agree(rounds[1], early)
        case "random":
            for kernel, other in zip(rounds[1], early, strict=True):
                assert not np.any(kernel[kernel != 0] == other[kernel != 0])


def large_kernels(model: Any) -> list[np.ndarray]:
    from components.training.sparsity import kernels

    return [v.numpy() for v in kernels(model) if v.numpy().size >= LEAST]


def zeros(found: list[np.ndarray]) -> int:
    return sum(int((kernel == 0).sum()) for kernel in found)


def agree(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for kernel, other in zip(found, expected, strict=True):
        assert np.array_equal(kernel, other * (kernel != 0))


@with_tensorflow
def test_the_importance_of_a_channel_is_the_square_of_what_its_gates_change(tmp_path):
    import tf_keras as keras

    from components.models import registry
    from components.pruner import importance
    from components.pruner.channels import couple
    from components.training.losses import hard_loss
    from components.training.sampler import Sampler

    features = write_features(tmp_path)
    parameters = PrunerParameters(**SHORT)
    keras.utils.set_random_seed(3)
    model = registry.build("ds_cnn", FRAMES, CHANNELS, len(LABELS), (4,))
    coupling = couple(model)
    with mock.patch.object(importance, "_BATCHES", 1):
        found = importance.of_channels(model, coupling, features, parameters)
    sampler = Sampler(
        features, parameters.augmentation(), 32, parameters.seed, parameters.unknown_share
    )
    inputs, labels = sampler.draw(0)
    loss = hard_loss(parameters.label_smoothing)
    expected = 0.0
    # The first convolution makes the channel, and normalises it, and so does the depthwise one behind.
    norms = [x for x in model.layers if type(x).__name__ == "BatchNormalization"][:2]
    first, second = (p.makes for p in coupling.layers if p.name in {x.name for x in norms})
    assert np.array_equal(first, second)
    for norm in norms:
        step, losses = 1e-2, []
        own = norm.get_weights()
        for gate in (1 + step, 1 - step):
            scaled = np.array([1, gate, 1, 1])
            norm.set_weights([own[0] * scaled, own[1] * scaled, *own[2:]])
            losses.append(float(loss(inputs, labels, model(inputs, training=False))))
        norm.set_weights(own)
        expected += ((losses[0] - losses[1]) / (2 * step)) ** 2
    assert found[first[1]] == pytest.approx(expected, rel=0.05)


@with_tensorflow
def test_a_round_that_is_done_is_not_trained_again(tmp_path):
    from components.models import registry
    from components.pruner import filters
    from components.training import loop

    features = write_features(tmp_path / "features")
    parameters = PrunerParameters(method="filter", least_channels=1, **SHORT)
    output = tmp_path / "out"
    steps: list[str] = []
    real = loop._epoch

    def counted(*arguments: Any) -> float:
        steps.append("epoch")
        return real(*arguments)

    def prune() -> Any:
        loop.prepare(parameters.schedule())
        model = registry.build("ds_cnn", FRAMES, CHANNELS, len(LABELS), (8,))
        return filters.prune(model, features, parameters, output).model.get_weights()

    with mock.patch.object(loop, "_epoch", counted):
        first = prune()
        assert len(steps) == 1
        again = prune()
    assert len(steps) == 1
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@with_tensorflow
def test_a_kernel_of_the_least_size_must_be_there(tmp_path):
    from components.models import registry
    from components.pruner import masked

    model = registry.build("ds_cnn", FRAMES, CHANNELS, len(LABELS), (4,))
    with pytest.raises(UserError, match=r"no kernel has Pruner\.least_weights"):
        masked.prune_in_pattern(model, None, PrunerParameters(method="block", **SHORT), tmp_path)


@with_tensorflow
def test_the_heads_that_change_nothing_go_and_the_others_stay_as_they_were(tmp_path):
    import tf_keras as keras

    from components.models import registry
    from components.models.macs import count_macs
    from components.pruner import heads, importance

    features = write_features(tmp_path)
    keras.utils.set_random_seed(3)
    model = registry.build("keyword_transformer", FRAMES, CHANNELS, len(LABELS), (64,))
    (layer,) = heads.attention(model)
    kernel = importance.output_kernel(layer)
    whole = kernel.numpy() * np.array([1, 0, 1, 0])[:, None, None]
    kernel.assign(whole)
    seen: list[Any] = []

    def retrain(model: Any, *_: Any, keep: Any) -> dict[str, list[float]]:
        seen.append(importance.output_kernel(*heads.attention(model)).numpy())
        return {"validation_loss": [0.0]}

    parameters = PrunerParameters(method="heads", heads_share=0.5, **SHORT)
    with (
        mock.patch.object(importance, "_BATCHES", 2),
        mock.patch.object(heads.loop, "fit", retrain),
    ):
        pruned = heads.prune(model, features, parameters, tmp_path / "out")
    assert np.array_equal(seen[0], whole[[0, 2]])
    assert heads.attention(pruned.model)[0].get_config()["num_heads"] == 2
    assert count_macs(pruned.model) < count_macs(model)
