"""Principal components of the recent past: Hotelling's T² within the plane, Q off it.

A row is seen with its past: the rows before it (`lags`) and exponential means of several speeds
(`means`). The directions that hold `variance` of the normal rows span the plane. T² is the squared
length within it in units of the normal spread, Q the squared distance from it (Jackson and
Mudholkar, "Control procedures for residuals", Technometrics 1979). The score is the sum of both,
each over its normal mean: a quadratic form of the row, which splits into the channels' shares.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from edge_agent.anomaly.detector import Detector, demand_rows, shape_error
from edge_agent.anomaly.rows import (
    ExponentialMean,
    Lags,
    Parameters,
    Rows,
    as_parameters,
    positive,
)

_LEAST_SPREAD = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class PcaSettings:
    """Settings of `Pca`.

    Attributes:
        lags: rows that stand beside each other, the newest among them; 0 for none.
        means: weights of the newest row in the exponential means that stand beside them.
        variance: share of the normal variance that the plane holds.
        components: most directions that span it.
    """

    lags: int = 8
    means: tuple[float, ...] = ()
    variance: float = 0.9
    components: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.lags <= 64 or len(self.means) > 8 or not self.lags + len(self.means):
            raise ValueError("pca needs 0 to 64 lags and 0 to 8 means, and one of either")
        if any(not 0.0 < alpha <= 1.0 for alpha in self.means):
            raise ValueError("pca.means must lie above 0 and at most 1")
        if not 0.0 < self.variance <= 1.0 or not 1 <= self.components <= 1024:
            raise ValueError("pca needs a variance in (0, 1] and 1 to 1024 components")


class Pca(Detector):
    """T² + Q over the recent past."""

    def __init__(self, settings: PcaSettings) -> None:
        """Knows nothing until it has learned or loaded."""
        self.settings = settings
        self.run_in = max([settings.lags, 1, *(round(1 / alpha) for alpha in settings.means)])
        self._views = settings.lags + len(settings.means)
        self._parameters: Parameters = {}
        self.restart()

    def learn(self, rows: Rows) -> None:
        demand_rows(rows, 2 * self.run_in + 2)
        self.restart()
        past = self._past(rows)[self.run_in :]
        centre, scale = past.mean(axis=0), positive(past.std(axis=0))
        seen = (past - centre) / scale
        values, vectors = _axes(seen)
        total = max(float(values.sum()), _LEAST_SPREAD)
        held = np.cumsum(values) / total
        count = int(np.searchsorted(held, self.settings.variance)) + 1
        # What lies within rounding of a flat direction would make T² of noise.
        count = min(count, self.settings.components, max(1, int((values > 1e-6 * total).sum())))
        plane, spread = vectors[:, :count], np.maximum(values[:count], _LEAST_SPREAD)
        off = float(values[count:].sum())
        norms = np.array([count, max(off, 1e-3 * seen.shape[1])])
        # Mean T² of the normal rows is the number of components; mean Q is what is left of them.
        self.load(
            as_parameters(centre=centre, scale=scale, plane=plane, spread=spread, norms=norms)
        )

    def parameters(self) -> Parameters:
        return self._parameters

    def load(self, parameters: Parameters) -> None:
        plane = parameters["plane"]
        if plane.ndim != 2 or plane.shape[0] % self._views or not plane.shape[0]:
            raise shape_error("plane", plane.shape, f"{self._views} rows a channel")
        width, count = plane.shape
        for name, shape in (
            ("centre", (width,)), ("scale", (width,)), ("spread", (count,)), ("norms", (2,)),
        ):  # fmt: skip
            if parameters[name].shape != shape:
                raise shape_error(name, parameters[name].shape, str(shape))
        if any((parameters[name] <= 0).any() for name in ("scale", "spread", "norms")):
            raise ValueError("pca's scale, spread and norms must be above 0")
        self._parameters = dict(parameters)
        wide = {name: array.astype(np.float64) for name, array in parameters.items()}
        self._centre, self._scale, self._plane = wide["centre"], wide["scale"], wide["plane"]
        within, off = wide["norms"]
        self._off = 1.0 / off
        self._weights = 1.0 / (wide["spread"] * within) - 1.0 / off
        self._channels = width // self._views
        self.restart()

    def restart(self) -> None:
        self._lags = Lags(self.settings.lags) if self.settings.lags else None
        self._means = [ExponentialMean(alpha) for alpha in self.settings.means]

    def process(self, rows: Rows) -> Rows:
        seen = (self._past(rows) - self._centre) / self._scale
        inner = seen @ self._plane
        shares = seen * (seen * self._off + (inner * self._weights) @ self._plane.T)
        by_channel = shares.reshape(len(rows), self._views, self._channels).sum(axis=1)
        return split_fairly(by_channel)

    def state_bytes(self) -> int:
        kept = max(0, self.settings.lags - 1) + len(self.settings.means)
        return 4 * kept * self._channels

    def macs(self) -> int:
        width, count = self._plane.shape
        return 2 * width * count + 3 * width

    def _past(self, rows: Rows) -> Rows:
        views = [] if self._lags is None else [self._lags.process(rows)]
        return np.concatenate([*views, *(mean.process(rows) for mean in self._means)], axis=1)


def _axes(rows: Rows) -> tuple[Rows, Rows]:
    """Variances of centred `rows` along their axes, the largest first, and the axes as columns.

    Fewer rows than columns span no more axes than there are rows: those come from the matrix of the
    rows' products, so a thousand channels cost what the rows do, not a matrix of all columns by all.
    """
    if len(rows) >= rows.shape[1]:
        values, axes = np.linalg.eigh(rows.T @ rows / len(rows))
        return np.maximum(values[::-1], 0.0), axes[:, ::-1]
    values, weights = np.linalg.eigh(rows @ rows.T / len(rows))
    values = np.maximum(values[::-1], 0.0)
    axes = rows.T @ weights[:, ::-1]
    return values, axes / positive(np.linalg.norm(axes, axis=0))


def split_fairly(shares: Rows) -> Rows:
    """Shares of 0 or more with the same sum: what some channels take away, the others lose."""
    if not shares.size or shares.min() >= 0.0:
        return shares
    total = np.maximum(shares.sum(axis=1, keepdims=True), 0.0)
    positive_part = np.maximum(shares, 0.0)
    whole = positive_part.sum(axis=1, keepdims=True)
    return positive_part * np.divide(total, whole, out=np.zeros_like(total), where=whole > 0)
