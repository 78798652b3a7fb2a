"""Half-space trees, frozen: how thin the normal rows lie where a row falls.

Each tree halves a randomly placed box around the normal rows along a random channel, `depth` times
(Tan, Ting and Liu, "Fast anomaly detection for streaming data", IJCAI 2011). The original learns on
from the stream and so learns long faults; here the masses stay those of the normal rows. A row's
score is the mean over the trees of how much thinner than even its leaf is, in halvings; every
halving on the way down belongs to the channel it cut, which splits the score by channel.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from edge_agent.anomaly.detector import Detector, demand_rows, shape_error
from edge_agent.anomaly.rows import Parameters, Rows, as_parameters

Places = npt.NDArray[np.int64]

# A row in an empty half counts as this much of a normal row.
_EMPTY = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalfSpaceSettings:
    """Settings of `HalfSpaceTrees`.

    Attributes:
        trees: how many.
        depth: halvings from the root to a leaf.
        seed: of the random boxes and channels.
    """

    trees: int = 25
    depth: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.trees <= 200 or not 1 <= self.depth <= 12:
            raise ValueError("half_space needs 1 to 200 trees and a depth of 1 to 12")


class HalfSpaceTrees(Detector):
    """How thin the normal rows lie where a row falls; it looks at one row alone."""

    def __init__(self, settings: HalfSpaceSettings) -> None:
        """Knows nothing until it has learned or loaded."""
        self.settings = settings
        self._inner = 2**settings.depth - 1
        self._parameters: Parameters = {}

    def learn(self, rows: Rows) -> None:
        demand_rows(rows, 2)
        trees, inner, channels = self.settings.trees, self._inner, rows.shape[1]
        random = np.random.default_rng(self.settings.seed)
        low, high = rows.min(axis=0), rows.max(axis=0)
        spread = np.maximum(high - low, 1e-6)
        shift = random.uniform(0.0, 1.0, (trees, channels))
        # A box twice the data's size or more, placed at random around it, as in the paper.
        reach = spread * 2.0 * np.maximum(shift, 1.0 - shift)
        middle = low + shift * spread
        channel = random.integers(0, channels, (trees, inner))
        cut = np.zeros((trees, inner))
        lows, highs = np.zeros((trees, inner, channels)), np.zeros((trees, inner, channels))
        lows[:, 0], highs[:, 0] = middle - reach, middle + reach
        every = np.arange(trees)
        for node in range(inner):
            at = channel[:, node]
            cut[:, node] = (lows[every, node, at] + highs[every, node, at]) / 2
            for side, child in enumerate((2 * node + 1, 2 * node + 2)):
                if child < inner:
                    lows[:, child], highs[:, child] = lows[:, node], highs[:, node]
                    (lows if side else highs)[every, child, at] = cut[:, node]
        cut = cut.astype(np.float32).astype(np.float64)
        masses = np.zeros((trees, 2 * inner + 1))
        masses[:, 0] = len(rows)
        for nodes, right in self._paths(rows, channel, cut):
            np.add.at(masses, (every[None, :], 2 * nodes + 1 + right), 1.0)
        parents = np.repeat(masses[:, :inner], 2, axis=1)
        thinner = np.log2((parents + _EMPTY) / (2.0 * masses[:, 1:] + _EMPTY))
        self.load(
            as_parameters(channel=channel, cut=cut, thinner=thinner, channels=np.array([channels]))
        )

    def parameters(self) -> Parameters:
        return self._parameters

    def load(self, parameters: Parameters) -> None:
        trees, inner = self.settings.trees, self._inner
        for name, shape in (
            ("channel", (trees, inner)), ("cut", (trees, inner)),
            ("thinner", (trees, 2 * inner)), ("channels", (1,)),
        ):  # fmt: skip
            if parameters[name].shape != shape:
                raise shape_error(name, parameters[name].shape, str(shape))
        self._channels = int(parameters["channels"][0])
        self._channel = parameters["channel"].astype(np.int64)
        if (
            self._channels < 1
            or not ((self._channel >= 0) & (self._channel < self._channels)).all()
        ):
            raise ValueError("half_space names a channel that is not there")
        self._parameters = dict(parameters)
        self._cut = parameters["cut"].astype(np.float64)
        self._thinner = parameters["thinner"].astype(np.float64) / trees

    def restart(self) -> None:
        """Nothing: no row depends on another."""

    def process(self, rows: Rows) -> Rows:
        shares = np.zeros_like(rows)
        every, each = np.arange(self.settings.trees)[None, :], np.arange(len(rows))[:, None]
        for nodes, right in self._paths(rows, self._channel, self._cut):
            step = self._thinner[every, 2 * nodes + right]
            np.add.at(shares, (each, self._channel[every, nodes]), step)
        return np.maximum(shares, 0.0)

    def state_bytes(self) -> int:
        return 0

    def macs(self) -> int:
        return 2 * self.settings.trees * self.settings.depth

    def _paths(self, rows: Rows, channel: Places, cut: Rows) -> list[tuple[Places, Places]]:
        """Level by level, each row's node in each tree, and 1 where it goes right from there."""
        every = np.arange(channel.shape[0])[None, :]
        each = np.arange(len(rows))[:, None]
        nodes = np.zeros((len(rows), channel.shape[0]), np.int64)
        found = []
        for _ in range(self.settings.depth):
            right = (rows[each, channel[every, nodes]] >= cut[every, nodes]).astype(np.int64)
            found.append((nodes, right))
            nodes = 2 * nodes + 1 + right
        return found
