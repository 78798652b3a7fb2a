"""What every detector is: learn normal rows, then score a stream in order with bounded state.

A detector gives each channel's share of the score, none below 0; the score is their sum. It sees
normalised rows (`edge_agent.anomaly.normaliser`) without missing values. Its parameters are what it
learned, and travel in a bundle as float32; its state is what it keeps of one stream.
"""

from __future__ import annotations

import abc

import numpy as np

from edge_agent.anomaly.rows import Parameters, Rows


class Detector(abc.ABC):
    """A detector of one stream."""

    # Rows of the stream after which every row is scored with full knowledge of those before it.
    run_in: int = 1

    @abc.abstractmethod
    def learn(self, rows: Rows) -> None:
        """Learns its parameters from normal rows in the order of time, and forgets the stream."""

    @abc.abstractmethod
    def parameters(self) -> Parameters:
        """What it learned."""

    @abc.abstractmethod
    def load(self, parameters: Parameters) -> None:
        """Takes what another instance of the same settings learned, and forgets the stream.

        Raises:
            ValueError: if the arrays do not fit the settings.
        """

    @abc.abstractmethod
    def restart(self) -> None:
        """Forgets the stream; keeps the parameters."""

    @abc.abstractmethod
    def process(self, rows: Rows) -> Rows:
        """Takes the next rows of the stream.

        Returns:
            Each channel's share of each row's score: shape (rows, channels), 0 or more.
        """

    @abc.abstractmethod
    def state_bytes(self) -> int:
        """Bytes of the stream's state as float32, once it has run in."""

    @abc.abstractmethod
    def macs(self) -> int:
        """Multiply-accumulates of one row, once it has learned; comparisons count as one."""

    def parameter_bytes(self) -> int:
        """Bytes of the parameters as a bundle carries them."""
        return sum(array.nbytes for array in self.parameters().values())


def shape_error(name: str, found: tuple[int, ...], wanted: str) -> ValueError:
    """The error of a parameter array that does not fit."""
    return ValueError(f"{name} has shape {found}, and {wanted} is needed: build the bundle again")


def demand_rows(rows: Rows, least: int) -> None:
    """Refuses to learn from too little.

    Raises:
        ValueError: if there are fewer than `least` rows, or values that are not finite.
    """
    if len(rows) < least:
        raise ValueError(f"{len(rows)} normal rows are too few to learn from: give {least} or more")
    if not np.isfinite(rows).all():
        raise ValueError("the normal rows hold values that are not finite")
