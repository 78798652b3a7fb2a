"""Every architecture: what the catalogue says of it holds, untrained, before an hour is spent on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.base import UserError
from components.early_exit.cut import cut
from components.infra_validator.measure import Measured, measure
from components.infra_validator.parity import compare
from components.models.catalogue import ARCHITECTURES, AUTOENCODERS, FORECASTERS
from components.targets.flatbuffer import read_graph
from components.targets.lint import lint
from components.targets.profile import load_profile
from components.trainer.component import TrainerParameters
from tests.fixtures import architectures
from tests.fixtures.apart import with_tensorflow
from tests.fixtures.architectures import CHANNELS, FRAMES, LABELS, WIDTHS

NAMES = sorted(ARCHITECTURES)
slow = pytest.mark.slow


@slow
@pytest.mark.parametrize("name", [*NAMES, *sorted(AUTOENCODERS), *sorted(FORECASTERS)])
def test_untrained_it_is_int8_throughout_fits_its_targets_and_runs_alike_on_tflm(name):
    file = architectures.converted() / f"{name}.tflite"
    graph = read_graph(file)
    assert graph.float_tensors == ()
    for target in ("tflm", "tflite-runtime-2.14", "litert"):
        assert lint(graph, load_profile(target))["ok"], target
    said = ARCHITECTURES | AUTOENCODERS | FORECASTERS
    assert lint(graph, load_profile("edgetpu"))["ok"] == said[name].edge_tpu
    codes = architectures.windows(20, seed=1)
    reference, tflm = (measure(runtime, file, codes, 1) for runtime in ("reference", "tflm"))
    assert isinstance(reference, Measured)
    assert isinstance(tflm, Measured)
    assert compare(tflm.outputs, reference.outputs).max_lsb <= 1


@slow
@pytest.mark.parametrize("name", NAMES)
def test_an_exit_has_a_place_in_what_is_said_to_narrow(name):
    model = (architectures.converted() / f"{name}.tflite").read_bytes()
    if ARCHITECTURES[name].narrows:
        assert cut(model, 0.95).rest
    else:
        with pytest.raises(UserError, match="no place for an exit"):
            cut(model, 0.95)


@slow
@with_tensorflow
def test_the_catalogue_names_what_the_registry_builds():
    from components.models import registry

    assert set(registry.BUILDERS) == set(ARCHITECTURES)
    assert set(registry.AUTOENCODER_BUILDERS) == set(AUTOENCODERS)
    assert set(registry.FORECASTER_BUILDERS) == set(FORECASTERS)


@slow
@pytest.mark.parametrize("name", NAMES)
def test_widths_and_their_number_are_its_knobs_and_its_macs_are_counted(name):
    has_knobs(name, read_graph(architectures.converted() / f"{name}.tflite").macs)


@with_tensorflow
def has_knobs(name: str, macs: int) -> None:
    from components.models import registry
    from components.models.macs import count_macs

    def cost(widths: tuple[int, ...]) -> tuple[int, int]:
        model = registry.build(name, FRAMES, CHANNELS, LABELS, widths)
        assert model.output_shape == (None, LABELS)
        return model.count_params(), count_macs(model)

    shallower, plain, wider = cost(WIDTHS[:1]), cost(WIDTHS), cost((WIDTHS[0], 48))
    assert shallower[0] < plain[0] < wider[0]
    assert plain[1] == macs


@slow
@pytest.mark.parametrize("name", NAMES)
@with_tensorflow
def test_what_streams_gives_a_frame_the_same_features_wherever_the_window_begins(name):
    import tf_keras as keras

    from components.models import registry

    shift = 8

    def before_pooling(frames: int) -> Any:
        keras.utils.set_random_seed(7)
        model = registry.build(name, frames, CHANNELS, LABELS, WIDTHS)
        pools = [x for x in model.layers if "AveragePooling" in type(x).__name__]
        return keras.Model(model.input, pools[-1].input)

    short, long = before_pooling(FRAMES), before_pooling(FRAMES + shift)
    long.set_weights(short.get_weights())
    codes = np.random.default_rng(1).normal(size=(1, FRAMES + shift, CHANNELS, 1))
    whole = long(codes.astype(np.float32), training=False).numpy()
    window = short(codes[:, shift:].astype(np.float32), training=False).numpy()
    same = np.allclose(whole[:, -window.shape[1] :], window, atol=1e-4)
    assert same == (ARCHITECTURES[name].streams_by is not None)


@slow
@with_tensorflow
def test_the_quantizer_trains_what_has_a_form_with_rounding_and_names_what_has_none():
    from components.models import registry
    from components.quantizer import executor

    for name in NAMES:
        model = registry.build(name, FRAMES, CHANNELS, LABELS, WIDTHS)
        assert executor._trains(model, "auto") == ARCHITECTURES[name].rounding
        assert not executor._trains(model, "post_training")
    with pytest.raises(UserError, match=r"no form of .*MultiHeadAttention"):
        executor._trains(
            registry.build("keyword_transformer", FRAMES, CHANNELS, LABELS, WIDTHS), "aware"
        )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"architecture": "mobilnet_v2"}, r"did you mean mobilenet_v2\?"),
        ({"architecture": "vgg"}, "take one of bc_resnet, ds_cnn"),
        ({"widths": ()}, "one or more positive"),
        ({"widths": (16, 0)}, "one or more positive"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_runs(values, said):
    with pytest.raises(ValueError, match=said):
        TrainerParameters(**values)


@slow
@pytest.mark.parametrize(
    ("name", "widths", "said"),
    [
        ("squeezenet", (16, 30), "multiples of 4"),
        ("shufflenet", (16, 24), "rising multiples of 16"),
        ("shufflenet", (32, 16), "rising multiples of 16"),
    ],
)
@with_tensorflow
def test_widths_that_do_not_fit_are_refused_by_name(name, widths, said):
    from components.models import registry

    with pytest.raises(UserError, match=f"{name} does not fit .*{said}"):
        registry.build(name, FRAMES, CHANNELS, LABELS, widths)
