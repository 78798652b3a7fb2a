"""Few values for weights: what they are, that they train, and that the int8 file holds no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from components.artifacts import read_json
from components.base import UserError
from components.converter.low_bits import packed
from components.infra_validator.measure import Measured, measure
from components.infra_validator.parity import compare
from components.quantizer.component import CODINGS, Coding, QuantizerParameters
from components.targets.flatbuffer import parse_graph, read_graph
from tests.fixtures.apart import THREADS, with_tensorflow
from tests.fixtures.features import CHANNELS, FRAMES, LABELS, write_features
from tests.fixtures.models import pack_model
from tests.fixtures.tflite_weights import kernels

pytestmark = pytest.mark.slow

CLUSTERS = 9
LEAST = 120
MIXED: tuple[Coding, ...] = ("ternary", "binary", "clustered")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """``mixed.tflite``, a coding for each large kernel; ``int4.tflite`` and, unpacked, ``wide.tflite``."""
    folder = tmp_path_factory.mktemp("codes")
    make(folder)
    return folder


@with_tensorflow
def make(folder: Path) -> None:
    from components.converter.convert import converted, load_model, to_int8
    from components.converter.low_bits import with_int4_weights
    from components.converter.strip import strip
    from components.quantizer import executor as quantizer
    from components.quantizer.coded import coded, settled
    from components.quantizer.codes import code_for

    features = write_features(folder / "features")
    windows = features.centred(np.asarray(features.split("val").codes))[:8]
    model = untrained()
    (folder / "model").mkdir()
    model.save(folder / "model" / "model.h5")
    (folder / "model" / "model.json").write_text("{}")

    names = [layer.name for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert len(names) == len(MIXED)
    codes = {
        name: code_for(coding, model.get_layer(name).kernel.numpy(), CLUSTERS)
        for name, coding in zip(names, MIXED, strict=True)
    }
    trained = coded(model, codes)
    train(trained)
    quantizer._fix_input_range(trained)
    (folder / "mixed.tflite").write_bytes(to_int8(settled(model, trained, codes), windows))

    inputs = dict.fromkeys(("model", "teacher"), folder / "model")
    inputs["features"] = folder / "features"
    (folder / "int4").mkdir()
    parameters = QuantizerParameters(method="int4", least_weights=LEAST, threads=THREADS)
    with mock.patch.object(quantizer.loop, "fit", train):
        quantizer.execute(inputs, {"model": folder / "int4"}, parameters)
    wide = converted(load_model(folder / "int4" / "model.h5"), windows)
    (folder / "wide.tflite").write_bytes(strip(wide))
    (folder / "int4.tflite").write_bytes(strip(with_int4_weights(wide)))


def untrained() -> Any:
    """A residual net with zeros, biases, and normalisation of both signs and many sizes.

    Folding that into the kernels must change no code.
    """
    import tf_keras as keras

    from components.models import registry
    from components.training.sparsity import kernels

    keras.utils.set_random_seed(4)
    model = registry.build("streaming_resnet", FRAMES, CHANNELS, len(LABELS), (8,))
    random = np.random.default_rng(4)
    for variable in kernels(model):
        variable.assign(variable * (random.random(variable.shape) > 0.2))
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.gamma.assign(random.normal(size=layer.gamma.shape))
            layer.beta.assign(random.normal(size=layer.beta.shape))
    return model


def train(model: Any, *_: Any) -> dict[str, list[float]]:
    """Training, as far as codes see it: every weight moves."""
    from components.training.sparsity import kernels

    random = np.random.default_rng(5)
    for variable in kernels(model):
        variable.assign(variable + random.normal(0, 0.02, variable.shape))
    return {"loss": [0.0], "validation_loss": [0.0], "validation_accuracy": [0.0]}


def test_the_int8_file_holds_the_values_of_each_coding_and_no_others(made):
    file = made / "mixed.tflite"
    assert read_graph(file).float_tensors == ()
    found = [k.codes for k in kernels(file.read_bytes()) if k.operator == "CONV_2D"]
    values = {coding: np.unique(codes) for coding, codes in zip(MIXED, found, strict=True)}
    assert set(values["ternary"]) == {-127, 0, 127}
    assert set(values["binary"]) == {-127, 127}
    assert {-127, 0, 127} <= set(values["clustered"])
    assert 4 < len(values["clustered"]) <= CLUSTERS
    zeros = {coding: (codes == 0).mean() for coding, codes in zip(MIXED, found, strict=True)}
    assert zeros["binary"] == 0
    assert min(zeros["ternary"], zeros["clustered"]) > 0.15


def test_int4_weights_take_half_the_bytes_and_every_runtime_computes_with_them(made):
    assert read_json(made / "int4" / "model.json") == {"weights": "int4"}
    wide, file = made / "wide.tflite", made / "int4.tflite"
    sizes = [kernel.codes.size for kernel in kernels(wide.read_bytes())]
    large = [size for size in sizes if size >= LEAST]
    graph = read_graph(file)
    assert graph.float_tensors == ()
    assert sum(tensor.dtype == "int4" for tensor in graph.tensors) == len(large) == 3
    assert ("CONV_2D", 7) in {(op.name, op.version) for op in graph.operators}
    assert wide.stat().st_size - file.stat().st_size > 0.45 * sum(large)
    codes = np.random.default_rng(1).integers(-128, 128, (20, FRAMES, CHANNELS)).astype(np.int8)
    expected = measure("reference", wide, codes, 1)
    assert isinstance(expected, Measured)
    assert len(np.unique(expected.outputs)) > 4
    for runtime in ("reference", "tflite_runtime", "litert", "tflm"):
        ran = measure(runtime, file, codes, 1)
        assert isinstance(ran, Measured), runtime
        # Seven steps of 127 / 7 are not whole numbers: the int8 weights are off by up to half a step.
        assert compare(ran.outputs, expected.outputs).max_lsb <= 12, runtime


def test_a_convolution_without_a_bias_leaves_every_other_tensor_as_it_was(made):
    from components.converter.low_bits import with_int4_weights
    from components.targets.schema import schema

    model = schema().ModelT.InitFromPackedBuf((made / "wide.tflite").read_bytes(), 0)
    for operator in model.subgraphs[0].operators:
        if (
            model.operatorCodes[operator.opcodeIndex].builtinCode
            == schema().BuiltinOperator.CONV_2D
        ):
            operator.inputs = np.append(operator.inputs[:2], -1).astype(np.int32)
    changed = with_int4_weights(pack_model(model))
    graphs = (parse_graph(pack_model(model)), parse_graph(changed))
    differs = [a.dtype for a, b in zip(*(g.tensors for g in graphs), strict=True) if a != b]
    assert differs == ["int8"] * 3


def test_two_weights_a_byte_the_first_in_the_lower_half():
    values = np.array([1, -1, 7, -7, 3], np.int8)
    assert packed(values).tolist() == [0xF1, 0x97, 0x03]


@with_tensorflow
def test_codes_are_those_of_the_papers():
    from components.quantizer.codes import code_for

    kernel = np.array([[0.9, 0.1], [-0.5, 0.2], [0.0, -0.3]], np.float32)
    ternary = code_for("ternary", kernel, 16)(kernel).numpy()
    # The mean size is 2 / 6, and seven tenths of it 0.233: three weights are larger, of mean 0.5667.
    assert np.allclose(ternary, 1.7 / 3 * np.array([[1, 0], [-1, 0], [0, -1]]))
    binary = code_for("binary", kernel, 16)(kernel).numpy()
    assert np.allclose(binary, 2 / 6 * np.array([[1, 1], [-1, 1], [1, -1]]))
    int4 = code_for("int4", kernel, 16)(kernel).numpy()
    assert np.allclose(int4 / 0.9 * 7, [[7, 1], [-4, 2], [0, -2]], atol=1e-5)


@with_tensorflow
def test_each_output_channel_of_a_convolution_has_its_own_scale():
    from components.quantizer.codes import code_for

    kernel = np.random.default_rng(2).normal(size=(3, 3, 4, 5)).astype(np.float32)
    kernel *= np.arange(1, 6)
    for coding in CODINGS:
        coded = code_for(coding, kernel, 8)(kernel).numpy()
        doubled = code_for(coding, kernel, 8)(kernel * np.array([1, 1, 2, 1, 1], "f")).numpy()
        assert np.allclose(doubled[..., 2], 2 * coded[..., 2], atol=1e-5)
        assert np.allclose(doubled[..., :2], coded[..., :2], atol=1e-6)
        assert not np.allclose(coded, kernel, atol=1e-2)


@with_tensorflow
def test_gradients_pass_straight_through():
    import tensorflow as tf

    from components.quantizer.codes import code_for

    kernel = np.array([[0.9, 0.1], [-0.5, 0.0]], np.float32)
    for coding in CODINGS:
        latent = tf.Variable(kernel)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(code_for(coding, kernel, 8)(latent) * [[1.0, 2.0], [3.0, 4.0]])
        stays = coding != "binary"
        assert tape.gradient(total, latent).numpy().tolist() == [[1, 2], [3, 0 if stays else 4]]


@with_tensorflow
def test_a_codebook_holds_the_ends_and_nought_and_follows_the_weights():
    from components.quantizer.codes import codebook

    random = np.random.default_rng(3)
    near = np.concatenate([random.normal(c, 0.004, 300) for c in (-0.6, -0.2, 0.2, 0.6)])
    book = codebook(np.clip(near, -1, 1).astype(np.float32), 8)
    assert np.allclose(book * 127, np.rint(book * 127), atol=1e-4)
    assert np.allclose(book, [-1, -0.6, -0.2, 0, 0.2, 0.6, 1], atol=0.01)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"whole": ("conv2d_99",)}, r"Quantizer\.whole: there is no layer conv2d_99; there are "),
        ({"least_weights": 10_000}, r"no kernel has Quantizer\.least_weights weights \(10000\)"),
    ],
)
@with_tensorflow
def test_layers_that_are_not_there_are_named(changes, said):
    from components.models import registry
    from components.quantizer.coded import codes_for

    model = registry.build("ds_cnn", FRAMES, CHANNELS, len(LABELS), (8,))
    with pytest.raises(UserError, match=said):
        codes_for(model, "ternary", QuantizerParameters(**changes))


@with_tensorflow
def test_layers_can_be_left_at_int8_by_name():
    from components.models import registry
    from components.quantizer.coded import codes_for

    model = registry.build("ds_cnn", FRAMES, CHANNELS, len(LABELS), (16,))
    everything = codes_for(model, "ternary", QuantizerParameters(least_weights=200))
    first, *rest = everything
    chosen = QuantizerParameters(least_weights=200, whole=(first,))
    assert list(codes_for(model, "ternary", chosen)) == rest


@pytest.mark.parametrize("coding", ["int4", "clustered", "ternary"])
@with_tensorflow
def test_zeros_stay_zero_also_in_kernels_that_keep_all_of_int8(coding):
    from components.quantizer.coded import coded, codes_for, settled

    model = untrained()
    names = [layer.name for layer in model.layers if type(layer).__name__ in ("Conv2D", "Dense")]
    large = list(codes_for(model, coding, QuantizerParameters(least_weights=LEAST)))
    wish = QuantizerParameters(least_weights=LEAST, whole=(large[1],))
    codes = codes_for(model, coding, wish)
    trained = coded(model, codes)
    train(trained)
    after = settled(model, trained, codes)
    values = {}
    for name in names:
        before = model.get_layer(name).kernel.numpy()
        kernel = next(
            v.numpy() for v in after.get_layer(f"quant_{name}").weights if "kernel:0" in v.name
        )
        assert (before == 0).mean() > 0.1
        assert not kernel[before == 0].any(), name
        values[name] = len(np.unique(kernel)) / np.count_nonzero(kernel)
    # It is held at zero, and no more than that.
    assert values[large[1]] > 0.95


@pytest.mark.parametrize("wrong", [{"clusters": 3}, {"clusters": 256}])
def test_clusters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="must be 4 to 255"):
        QuantizerParameters(**wrong)
