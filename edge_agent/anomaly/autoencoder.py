"""A small autoencoder of the recent past: what it cannot give back is not normal.

A row is seen beside the rows before it (`lags`). Two layers lead down to `bottleneck` values and two back
up (Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006); the
score is the squared error of each value over its normal mean, averaged. Unlike principal components it
can follow bent relations, such as a pressure that goes with the square of a speed.

It learns by full-batch steps of Adam (Kingma and Ba, 2015) in numpy, from a fixed seed, so that the same
rows teach the same thing wherever they are.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.detector import Detector, demand_rows, shape_error
from edge_agent.anomaly.rows import Lags, Parameters, Rows, as_parameters, positive

_LAYERS = 4
_FIRST, _SECOND, _LEAST = 0.9, 0.999, 1e-8  # Adam's, as in the paper
_LEAST_ERROR = 1e-3

Float64 = npt.NDArray[np.float64]
Weights = list[Float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderSettings:
    """Settings of `Autoencoder`.

    Attributes:
        lags: rows that stand beside each other, the newest among them.
        hidden: units of the layers before and behind the bottleneck.
        bottleneck: values that everything must pass through.
        steps: of learning.
        learning_rate: of each.
        seed: of the initial weights.
    """

    lags: int = 8
    hidden: int = 16
    bottleneck: int = 4
    steps: int = 400
    learning_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.lags <= 64 or not 1 <= self.steps <= 10_000:
            raise ValueError("autoencoder needs 1 to 64 lags and 1 to 10000 steps")
        if not 1 <= self.bottleneck <= self.hidden <= 512:
            raise ValueError("autoencoder needs 1 <= bottleneck <= hidden <= 512")
        if not 0.0 < self.learning_rate <= 1.0 or self.seed < 0:
            raise ValueError("autoencoder needs a learning_rate in (0, 1] and a seed of 0 or more")


class Autoencoder(Detector):
    """Squared error of reconstruction over the recent past."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        """Knows nothing until it has learned or loaded."""
        self.settings = settings
        self.run_in = settings.lags
        self._parameters: Parameters = {}
        self.restart()

    def learn(self, rows: Rows) -> None:
        demand_rows(rows, 2 * self.run_in + 2)
        self.restart()
        past = self._lags.process(rows)[self.run_in :]
        centre, scale = past.mean(axis=0), positive(past.std(axis=0))
        seen = (past - centre) / scale
        weights = _trained(seen, self.settings)
        error = np.mean((_passed(seen, weights)[-1] - seen) ** 2, axis=0)
        names = [f"{kind}{layer}" for layer in range(_LAYERS) for kind in ("kernel", "bias")]
        self.load(
            as_parameters(
                centre=centre,
                scale=scale,
                error=np.maximum(error, _LEAST_ERROR),
                **dict(zip(names, weights, strict=True)),
            )
        )

    def parameters(self) -> Parameters:
        return self._parameters

    def load(self, parameters: Parameters) -> None:
        width = parameters["centre"].size
        if not width or width % self.settings.lags:
            raise shape_error("centre", parameters["centre"].shape, "lags values a channel")
        sizes = _sizes(width, self.settings)
        wanted: dict[str, tuple[int, ...]] = {
            "centre": (width,),
            "scale": (width,),
            "error": (width,),
        }
        for layer in range(_LAYERS):
            wanted[f"kernel{layer}"] = sizes[layer : layer + 2]
            wanted[f"bias{layer}"] = sizes[layer + 1 : layer + 2]
        for name, shape in wanted.items():
            if parameters[name].shape != shape:
                raise shape_error(name, parameters[name].shape, str(shape))
        if any((parameters[name] <= 0).any() for name in ("scale", "error")):
            raise ValueError("autoencoder's scale and error must be above 0")
        self._parameters = dict(parameters)
        wide = {name: array.astype(np.float64) for name, array in parameters.items()}
        self._centre, self._scale = wide["centre"], wide["scale"]
        self._weights = [wide[f"{k}{i}"] for i in range(_LAYERS) for k in ("kernel", "bias")]
        self._norm = 1.0 / (wide["error"] * width)
        self._channels = width // self.settings.lags
        self.restart()

    def restart(self) -> None:
        self._lags = Lags(self.settings.lags)

    def process(self, rows: Rows) -> Rows:
        seen = (self._lags.process(rows) - self._centre) / self._scale
        errors = (_passed(seen, self._weights)[-1] - seen) ** 2 * self._norm
        by_channel: Rows = errors.reshape(len(rows), self.settings.lags, self._channels).sum(axis=1)
        return by_channel

    def state_bytes(self) -> int:
        return 4 * (self.settings.lags - 1) * self._channels

    def macs(self) -> int:
        return sum(kernel.size for kernel in self._weights[::2]) + 3 * self._centre.size


def _sizes(width: int, settings: AutoencoderSettings) -> tuple[int, ...]:
    return (width, settings.hidden, settings.bottleneck, settings.hidden, width)


def _passed(seen: Float64, weights: Weights) -> list[Float64]:
    """What each layer gives, `seen` first: hyperbolic tangents, but for bottleneck and output."""
    values = [seen]
    for layer in range(_LAYERS):
        linear = values[-1] @ weights[2 * layer] + weights[2 * layer + 1]
        values.append(np.tanh(linear) if layer in (0, 2) else linear)
    return values


def _trained(seen: Float64, settings: AutoencoderSettings) -> Weights:
    random = np.random.default_rng(settings.seed)
    sizes = _sizes(seen.shape[1], settings)
    weights: Weights = []
    for before, after in itertools.pairwise(sizes):
        # Glorot and Bengio (2010): the spread that keeps the size of what passes.
        weights += [random.normal(0.0, np.sqrt(2 / (before + after)), (before, after))]
        weights += [np.zeros(after)]
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    for step in range(1, settings.steps + 1):
        rate = settings.learning_rate * np.sqrt(1 - _SECOND**step) / (1 - _FIRST**step)
        for place, slope in enumerate(_slopes(seen, weights)):
            first[place] += (1 - _FIRST) * (slope - first[place])
            second[place] += (1 - _SECOND) * (slope**2 - second[place])
            weights[place] = weights[place] - rate * first[place] / (
                np.sqrt(second[place]) + _LEAST
            )
    return weights


def _slopes(seen: Float64, weights: Weights) -> Weights:
    """The gradient of the mean squared error by each of `weights`: back-propagation."""
    values = _passed(seen, weights)
    slope = 2.0 * (values[-1] - seen) / seen.size
    found: Weights = []
    for layer in reversed(range(_LAYERS)):
        if layer in (0, 2):
            slope = slope * (1.0 - values[layer + 1] ** 2)
        found = [values[layer].T @ slope, slope.sum(axis=0), *found]
        slope = slope @ weights[2 * layer].T
    return found
