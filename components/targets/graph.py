"""A .tflite model as plain data: operators, tensors, multiply-accumulates."""

from __future__ import annotations

import collections
import dataclasses
import functools


class GraphError(ValueError):
    """The bytes are not a usable .tflite model; the message says what is wrong."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantisation:
    """``real = scale * (code - zero_point)``; one entry a slice of `axis`, or one for all."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor.

    Attributes:
        name: as written in the model; may be empty.
        dtype: TFLite's name in lower case, e.g. ``int8``.
        shape: at run time with the inputs as they are declared.
        signature: like `shape`, with -1 where the dimension is dynamic.
        quantisation: None for a tensor that is not quantised.
        constant: whether its values stand in the model.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    quantisation: Quantisation | None
    constant: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator in execution order; `inputs` and `outputs` index `Graph.tensors` or are -1."""

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class OperatorCount:
    """How often an operator of one version stands in a model."""

    name: str
    version: int
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """A model; `inputs` and `outputs` index `tensors`. Subgraphs follow one another."""

    operators: tuple[Operator, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    size_bytes: int

    @functools.cached_property
    def counts(self) -> tuple[OperatorCount, ...]:
        """The operators by name and version, sorted."""
        counted = collections.Counter((o.name, o.version) for o in self.operators)
        return tuple(
            OperatorCount(name=name, version=version, count=count)
            for (name, version), count in sorted(counted.items())
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return sum(operator.macs for operator in self.operators)

    @property
    def float_tensors(self) -> tuple[str, ...]:
        """Names of the floating-point tensors (``tensor N`` for one without a name)."""
        return tuple(
            tensor.name or f"tensor {index}"
            for index, tensor in enumerate(self.tensors)
            if "float" in tensor.dtype
        )
