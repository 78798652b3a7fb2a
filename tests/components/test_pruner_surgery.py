"""Channels and heads that are removed: from every architecture, and exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from components.base import UserError
from components.models.catalogue import ARCHITECTURES
from tests.fixtures.apart import with_tensorflow
from tests.fixtures.architectures import CHANNELS, FRAMES, LABELS, WIDTHS

pytestmark = pytest.mark.slow

WITH_FILTERS = sorted(name for name, known in ARCHITECTURES.items() if known.filters)
WITHOUT = sorted(set(ARCHITECTURES) - set(WITH_FILTERS))


def untrained(name: str) -> Any:
    import tf_keras as keras

    from components.models import registry

    keras.utils.set_random_seed(5)
    return registry.build(name, FRAMES, CHANNELS, LABELS, WIDTHS)


def outputs(model: Any) -> np.ndarray:
    codes = np.random.default_rng(2).normal(size=(8, FRAMES, CHANNELS, 1)).astype(np.float32)
    return model(codes, training=False).numpy()


@pytest.mark.parametrize("name", WITH_FILTERS)
@with_tensorflow
def test_channels_that_are_silent_can_be_removed_and_nothing_else_changes(name):
    from components.models.macs import count_macs
    from components.pruner.channels import couple
    from components.pruner.choice import choose
    from components.pruner.surgery import without_channels

    model = untrained(name)
    coupling = couple(model)
    whole = coupling.macs(np.ones(coupling.classes, bool))
    assert whole == count_macs(model)
    importance = np.random.default_rng(1).random(coupling.classes)
    kept = choose(coupling, importance, whole // 2, 2)
    silence(model, coupling, kept)
    smaller = without_channels(model, coupling, kept)
    assert count_macs(smaller) == coupling.macs(kept) <= whole // 2
    assert smaller.count_params() < model.count_params()
    assert np.allclose(outputs(smaller), outputs(model), atol=1e-5)
    assert smaller.output_shape == model.output_shape


def silence(model: Any, coupling: Any, kept: np.ndarray) -> None:
    """Sets to zero all that makes the channels that are not kept."""
    for layer, part in zip(model.layers, coupling.layers, strict=True):
        for variable in layer.trainable_variables:
            per_channel = kept[part.makes].astype(np.float32)
            if type(layer).__name__ == "DepthwiseConv2D" and len(variable.shape) == 4:
                per_channel = per_channel[:, None]
            variable.assign(variable * per_channel)


@pytest.mark.parametrize("name", WITHOUT)
@with_tensorflow
def test_an_architecture_without_a_rule_is_refused_by_its_layers(name):
    from components.pruner.channels import couple

    with pytest.raises(UserError, match=r"no rule for .*MultiHeadAttention"):
        couple(untrained(name))


@with_tensorflow
def test_each_layer_keeps_its_least_channels_and_the_impossible_is_refused():
    from components.pruner.channels import couple
    from components.pruner.choice import choose

    coupling = couple(untrained("ds_cnn"))
    importance = np.ones(coupling.classes)
    whole = coupling.macs(np.ones(coupling.classes, bool))
    kept = choose(coupling, importance, whole // 4, 5)
    widths = [int(kept[layer.makes].sum()) for layer in coupling.layers if layer.writes]
    assert min(widths[:-1]) >= 5
    assert widths[-1] == LABELS
    with pytest.raises(UserError, match=r"at the least it is [\d,]+: raise Pruner.macs_share"):
        choose(coupling, importance, whole // 4, 14)


@with_tensorflow
def test_what_matters_little_for_its_cost_goes_first():
    from components.pruner.channels import couple
    from components.pruner.choice import choose

    coupling = couple(untrained("streaming_resnet"))
    whole = coupling.macs(np.ones(coupling.classes, bool))
    importance = np.ones(coupling.classes)
    worthless = np.flatnonzero(~coupling.fixed)[::7]
    importance[worthless] = 1e-9
    kept = choose(coupling, importance, whole - 1, 1)
    gone = np.flatnonzero(~kept)
    assert len(gone) == 1
    assert gone[0] in worthless


@with_tensorflow
def test_channels_that_are_added_together_are_one_class():
    from components.pruner.channels import couple

    model = untrained("streaming_resnet")
    by_name = {
        layer.name: part for layer, part in zip(model.layers, couple(model).layers, strict=True)
    }
    add = next(layer for layer in model.layers if type(layer).__name__ == "Add")
    before, after = (by_name[tensor.node.layer.name] for tensor in add.input)
    assert np.array_equal(before.makes, after.makes)
    assert len(np.unique(before.makes)) == WIDTHS[0]


@with_tensorflow
def test_heads_that_are_silent_can_be_removed_and_nothing_else_changes():
    from components.models.macs import count_macs
    from components.pruner.heads import attention
    from components.pruner.importance import output_kernel
    from components.pruner.surgery import without_heads

    model = untrained("keyword_transformer")
    last = attention(model)[-1]
    kernel = output_kernel(last)
    silent = np.ones(kernel.shape)
    silent[0] = 0.0
    kernel.assign(kernel * silent)
    smaller = without_heads(model, {last.name: np.array([1])})
    assert [x.get_config()["num_heads"] for x in attention(smaller)] == [1, 1]
    assert count_macs(smaller) < count_macs(model)
    assert np.allclose(outputs(smaller), outputs(model), atol=1e-6)


@with_tensorflow
def test_a_network_without_attention_has_no_heads_to_prune():
    from components.pruner.heads import attention

    with pytest.raises(UserError, match=r"no attention heads.*keyword_transformer"):
        attention(untrained("ds_cnn"))
