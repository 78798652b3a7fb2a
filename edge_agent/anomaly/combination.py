"""Several detectors as one: the geometric mean of their scores, each over its normal median."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_agent.anomaly.detector import Detector, shape_error
from edge_agent.anomaly.rows import Parameters, Rows, as_parameters

_LEAST = 1e-6
_WEIGHTS = "weights"


class Combination(Detector):
    """One detector made of several named ones.

    The geometric mean lets none of them decide alone by the size of its figures. A channel's share
    is the mean of its shares in the members' scores.
    """

    def __init__(self, members: Sequence[tuple[str, Detector]]) -> None:
        """Combines `members`: names, which mark their parameters, and detectors."""
        if not members:
            raise ValueError("a combination needs a detector")
        self._members = tuple(members)
        self.run_in = max(member.run_in for _, member in members)
        self._weights = np.ones(len(self._members))

    def learn(self, rows: Rows) -> None:
        typical = []
        for _, member in self._members:
            member.learn(rows)
            scores = member.process(rows)[member.run_in :].sum(axis=1)
            typical.append(max(float(np.median(scores)), _LEAST))
        self._weigh(as_parameters(weights=1.0 / np.array(typical)))
        self.restart()

    def parameters(self) -> Parameters:
        own = {} if len(self._members) == 1 else as_parameters(weights=self._weights)
        for name, member in self._members:
            own |= {f"{name}.{key}": array for key, array in member.parameters().items()}
        return own

    def load(self, parameters: Parameters) -> None:
        for name, member in self._members:
            start = f"{name}."
            member.load({k[len(start) :]: v for k, v in parameters.items() if k.startswith(start)})
        if len(self._members) > 1:
            self._weigh({_WEIGHTS: parameters[_WEIGHTS]})

    def restart(self) -> None:
        for _, member in self._members:
            member.restart()

    def process(self, rows: Rows) -> Rows:
        parts = [member.process(rows) for _, member in self._members]
        if len(parts) == 1:
            return parts[0]
        logs, split = np.zeros((len(rows), 1)), np.zeros_like(rows)
        for part, weight in zip(parts, self._weights, strict=True):
            score = part.sum(axis=1, keepdims=True)
            logs += np.log(score * weight + _LEAST) / len(parts)
            split += np.divide(part, score, out=np.zeros_like(part), where=score > 0) / len(parts)
        held = np.maximum(split.sum(axis=1, keepdims=True), _LEAST)
        return np.exp(logs) * split / held

    def state_bytes(self) -> int:
        return sum(member.state_bytes() for _, member in self._members)

    def macs(self) -> int:
        return sum(member.macs() for _, member in self._members)

    def _weigh(self, parameters: Parameters) -> None:
        weights = parameters[_WEIGHTS]
        if weights.shape != (len(self._members),) or (weights <= 0).any():
            raise shape_error(_WEIGHTS, weights.shape, f"{len(self._members)} figures above 0")
        self._weights = weights.astype(np.float64)
