"""A network of the recent past in a .tflite file: what it cannot give back, or foretell, is not normal.

The bundle brings the network as it was trained on normal rows; what a stream teaches is how large each
output's error normally is. The score is the squared error over that, averaged.

Values are compressed by the inverse hyperbolic sine first. int8 codes of 1/32 then reach 27 normal
deviations, while near normal a step is a thirtieth of one: calibrated on the plain values of normal rows
alone, int8 clips the very anomaly that it is to find.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.detector import Detector, demand_rows, shape_error
from edge_agent.anomaly.rows import Lags, Parameters, Rows, as_parameters
from edge_agent.features.audio import INPUT_SCALE
from edge_agent.runtime import Model, open_model

Float64 = npt.NDArray[np.float64]
# From compressed windows, shape (rows, window, channels), to outputs, shape (rows, outputs).
Predict = Callable[[Float64], Float64]

_LEAST_ERROR = 1e-4
_BLOCK = 1024  # rows whose windows are held at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Settings of `Network`.

    Attributes:
        task: ``reconstruct`` gives back the window that ends in the row; ``forecast`` foretells the
            row from the window before it.
        window: rows that the network sees.
    """

    task: Literal["reconstruct", "forecast"] = "reconstruct"
    window: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 64:
            raise ValueError("network.window must be 1 to 64 rows")


class Network(Detector):
    """Squared error of reconstruction or of forecast."""

    def __init__(self, settings: NetworkSettings, predict: Predict | None) -> None:
        """Knows nothing until it has learned or loaded.

        Args:
            settings: its task and window.
            predict: the network; None where settings are checked alone.
        """
        self.settings = settings
        self._predict = predict
        self._ahead = int(settings.task == "forecast")
        self.run_in = settings.window + self._ahead
        self._parameters: Parameters = {}
        self.restart()

    def learn(self, rows: Rows) -> None:
        demand_rows(rows, 2 * self.run_in + 2)
        self.restart()
        self._channels = rows.shape[1]
        error = self._errors(rows)[self.run_in :].mean(axis=0)
        self.load(as_parameters(error=np.maximum(error, _LEAST_ERROR)))

    def parameters(self) -> Parameters:
        return self._parameters

    def load(self, parameters: Parameters) -> None:
        error = parameters["error"]
        rows = 1 if self._ahead else self.settings.window
        if error.ndim != 1 or not error.size or error.size % rows:
            raise shape_error("error", error.shape, f"{rows} figures a channel")
        if (error <= 0).any():
            raise ValueError("network's error must be above 0")
        self._parameters = dict(parameters)
        self._channels = error.size // rows
        self._weights = 1.0 / (error.astype(np.float64) * error.size)
        self.restart()

    def restart(self) -> None:
        self._lags = Lags(self.run_in)

    def process(self, rows: Rows) -> Rows:
        weighed = self._errors(rows) * self._weights
        by_channel: Rows = weighed.reshape(len(rows), -1, self._channels).sum(axis=1)
        return by_channel

    def state_bytes(self) -> int:
        return 4 * (self.run_in - 1) * self._channels

    def macs(self) -> int:
        """Of the errors alone: the network's own stand in the manifest."""
        return 2 * self._weights.size

    def _errors(self, rows: Rows) -> Rows:
        """The squared error of each output, by row; outputs are in the order of time."""
        if self._predict is None:
            raise ValueError("the network's .tflite file is missing: build the bundle again")
        outputs = self._channels * (1 if self._ahead else self.settings.window)
        errors = np.empty((len(rows), outputs))
        for begin in range(0, len(rows), _BLOCK):
            seen, wanted = windows(
                self._lags.process(rows[begin : begin + _BLOCK]), self._channels, self.settings
            )
            errors[begin : begin + _BLOCK] = (self._predict(seen) - wanted) ** 2
        return errors


def windows(past: Rows, channels: int, settings: NetworkSettings) -> tuple[Float64, Float64]:
    """What the network sees of each row, and what it should give, both compressed.

    Args:
        past: rows beside those before them, as `Lags` gives them.
        channels: of one row.
        settings: task and window.

    Returns:
        Shapes (rows, window, channels) and (rows, outputs); the newest row is the last.
    """
    whole = np.arcsinh(past.reshape(len(past), -1, channels)[:, ::-1])
    if settings.task == "forecast":
        return whole[:, :-1], whole[:, -1]
    return whole, whole.reshape(len(whole), -1)


def codes_of(seen: Float64) -> npt.NDArray[np.int8]:
    """The int8 codes of compressed values; those beyond the last code become it."""
    return np.clip(np.rint(seen / INPUT_SCALE), -128, 127).astype(np.int8)


class Int8Network:
    """`Predict` by the full-integer model of a bundle."""

    def __init__(self, data: bytes) -> None:
        """Opens the .tflite file.

        Raises:
            RuntimeModelError: if it cannot be run here.
        """
        self._model: Model = open_model(data)

    def __call__(self, seen: Float64) -> Float64:
        """Runs it window by window.

        Raises:
            RuntimeModelError: if the windows do not fit it.
        """
        codes, output = codes_of(seen), self._model.output
        found = np.array([self._model.invoke(window).reshape(-1) for window in codes], np.float64)
        values: Float64 = (found - output.zero_point) * output.scale
        return values
