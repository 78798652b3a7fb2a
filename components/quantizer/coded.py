"""Quantisation-aware training in which the larger kernels take few values; see `codes`.

The values are those that the int8 rounding in the graph sees, so they are in the int8 file, too.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import (
    default_8bit_quantize_registry,
    default_8bit_quantize_scheme,
    default_8bit_quantizers,
)

from components.base import UserError
from components.quantizer.codes import Code, code_for, held_at_zero
from components.quantizer.component import Coding, QuantizerParameters

Model = Any

_KINDS = ("Conv2D", "Dense")
_PREFIX = "quant_"


def codes_for(model: Model, coding: Coding, parameters: QuantizerParameters) -> dict[str, Code]:
    """By layer name, the codes of the kernels that are to take few values, and of others that were pruned.

    Raises:
        UserError: if there are none, or `parameters.whole` names a layer that is not there.
    """
    layers = {x.name: x for x in model.layers if type(x).__name__ in _KINDS}
    unknown = sorted(set(parameters.whole) - set(layers))
    if unknown:
        raise UserError(
            f"Quantizer.whole: there is no layer {unknown[0]}; there are {', '.join(layers)}"
        )
    codes = {
        name: code_for(coding, layer.kernel.numpy(), parameters.clusters)
        for name, layer in layers.items()
        if layer.kernel.shape.num_elements() >= parameters.least_weights
        and name not in parameters.whole
    }
    if not codes:
        raise UserError(
            f"no kernel has Quantizer.least_weights weights ({parameters.least_weights}) and is not "
            "named in Quantizer.whole: lower the one, or shorten the other"
        )
    for name, layer in layers.items():
        kernel = layer.kernel.numpy()
        if name not in codes and not kernel.all():
            codes[name] = held_at_zero(kernel)
    return codes


def coded(model: Model, codes: Mapping[str, Code]) -> Model:
    """`model` with int8 rounding in the graph, behind the codes."""
    return tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(model), _Scheme(codes)
    )


def settled(model: Model, trained: Model, codes: Mapping[str, Code]) -> Model:
    """`model` with int8 rounding, and the weights of `trained`, replaced once and for all.

    It holds nothing but what every quantisation-aware model does.
    """
    plain = tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(model)
    )
    plain.set_weights(trained.get_weights())
    for layer in plain.layers:
        code = codes.get(layer.name.removeprefix(_PREFIX))
        if code is None:
            continue
        named = {v.name.rsplit("/", 1)[-1].removesuffix(":0"): v for v in layer.weights}
        kernel = code(named["kernel"]).numpy()
        named["kernel"].assign(kernel)
        axes = tuple(range(kernel.ndim - 1)) if named["kernel_max"].shape.rank else None
        largest = np.abs(kernel).max(axes)
        named["kernel_min"].assign(-largest)
        named["kernel_max"].assign(largest)
    return plain


class _Scheme(default_8bit_quantize_scheme.Default8BitQuantizeScheme):
    def __init__(self, codes: Mapping[str, Code]) -> None:
        self._codes = codes

    def get_quantize_registry(self) -> Any:
        return _Registry(self._codes)


class _Registry(default_8bit_quantize_registry.Default8BitQuantizeRegistry):
    """tfmot's registry, whose quantisers of some kernels replace the weights before they round."""

    def __init__(self, codes: Mapping[str, Code]) -> None:
        super().__init__()
        self._codes = codes

    def get_quantize_config(self, layer: Any) -> Any:
        config = super().get_quantize_config(layer)
        code = self._codes.get(layer.name)
        if code is not None:
            # All convolutions share one.
            config = copy.copy(config)
            config.weight_quantizer = _coding(config.weight_quantizer, code)
        return config


def _coding(quantizer: Any, code: Code) -> Any:
    """`quantizer`, of its own kind, behind `code`."""
    if isinstance(quantizer, default_8bit_quantizers.Default8BitConvWeightsQuantizer):
        coding: _Coding = _ConvolutionCoding()
    else:
        coding = _DenseCoding(**quantizer.get_config())
    coding.code = code
    return coding


class _Coding:
    """Replaces weights by `code` before the quantiser that it is mixed into rounds them."""

    code: Code

    def __call__(self, inputs: Any, training: Any, weights: Any, **rest: Any) -> Any:
        return super().__call__(self.code(inputs), training, weights, **rest)  # type: ignore[misc]


class _ConvolutionCoding(_Coding, default_8bit_quantizers.Default8BitConvWeightsQuantizer):
    pass


class _DenseCoding(_Coding, tfmot.quantization.keras.quantizers.LastValueQuantizer):
    pass
