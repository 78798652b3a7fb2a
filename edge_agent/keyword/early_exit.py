"""A network with an exit in its middle: the rest of it runs only for windows that the exit is unsure of.

After Teerapittayanon et al. (2016), "BranchyNet: fast inference via early exiting from deep neural
networks". A TFLite graph has no way out in the middle, so the network comes in two parts: the trunk,
which every window runs through, and the rest, which goes on from what the trunk gave. The exit is a small
model on the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from edge_agent.bundle.manifest import EarlyExit
from edge_agent.classification import open_encoder, open_end, probabilities
from edge_agent.features.audio import Codes, Float32
from edge_agent.runtime import Model, Runtime


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaving:
    """What an early exit spared on the windows of one clip, stream or folder.

    Attributes:
        windows: windows that were decided.
        went_on: those that the rest of the network decided.
        trunk_macs: multiply-accumulates of one run of the trunk.
        exit_macs: likewise of the exit.
        rest_macs: likewise of the rest.
    """

    windows: int
    went_on: int
    trunk_macs: int
    exit_macs: int
    rest_macs: int

    @property
    def saved(self) -> float:
        """Share of the multiply-accumulates spared, against the network without the exit.

        Below 0 where so few leave that the exit costs more than it spares; 0 without windows.
        """
        alone = self.windows * (self.trunk_macs + self.rest_macs)
        early = self.windows * (self.trunk_macs + self.exit_macs)
        return 1.0 - (early + self.went_on * self.rest_macs) / alone if alone else 0.0

    def as_json(self) -> dict[str, float]:
        """The form that the commands print."""
        return {**dataclasses.asdict(self), "saved": round(self.saved, 4)}

    def as_text(self) -> str:
        """The form that the commands print for people."""
        left = self.windows - self.went_on
        return (
            f"early exit: {left} of {self.windows} windows left by it; "
            f"{self.saved:.1%} of the multiply-accumulates saved"
        )


class Joined:
    """Two models in a row, as one.

    Attributes:
        runtime: ``litert`` or ``tflite_runtime``.
        version: the runtime's version.
        input: the first one's input.
        output: the second one's output.
        inferences: how many one `invoke` counts as.
    """

    inferences = 1

    def __init__(self, first: Model, second: Model) -> None:
        """Takes models of which the second takes what the first gives."""
        self._first, self._second = first, second
        self.runtime, self.version = first.runtime, first.version
        self.input, self.output = first.input, second.output

    def invoke(self, codes: Codes) -> Codes:
        """Runs both once, as `Model.invoke`."""
        return self._second.invoke(self._first.invoke(codes))


class EarlyExitNetwork:
    """The loaded models of a network with an exit, and its rule.

    Attributes:
        early: from a window to the exit's answer, whether it is sure or not.
        late: from a window to the answer at the end.
        stated: what the bundle says of it.
    """

    def __init__(self, *, trunk: Model, exit_: Model, rest: Model, stated: EarlyExit) -> None:
        """Takes models whose shapes fit."""
        self._trunk, self._exit, self._rest = trunk, exit_, rest
        self.stated = stated
        self.early, self.late = Joined(trunk, exit_), Joined(trunk, rest)

    def probabilities(self, codes: Codes) -> tuple[Float32, bool]:
        """The probabilities (labels,) of a window of codes (frames, channels), and whether it left early."""
        passed = self._trunk.invoke(codes)
        early = probabilities(self._exit, passed)
        if float(early.max()) >= self.stated.leaves_at:
            return early, True
        return probabilities(self._rest, passed), False

    def answers(self, codes: Codes) -> tuple[Float32, Float32]:
        """What the exit and what the end say to one window, each (labels,)."""
        passed = self._trunk.invoke(codes)
        return probabilities(self._exit, passed), probabilities(self._rest, passed)

    def leaving(self, windows: int, left: int) -> Leaving:
        """What was spared where `left` of `windows` left early."""
        return Leaving(
            windows=windows,
            went_on=windows - left,
            trunk_macs=self.stated.trunk_macs,
            exit_macs=self.stated.exit_macs,
            rest_macs=self.stated.rest_macs,
        )


def open_early_exit(
    stated: EarlyExit,
    files: Mapping[str, bytes],
    *,
    shape: tuple[int, ...],
    labels: int,
    minimum: Mapping[str, str],
    runtime: Runtime = "auto",
    threads: int = 1,
    delegate: str = "",
) -> EarlyExitNetwork:
    """Loads the network of a bundle that has an early exit.

    Args:
        stated: what the manifest says of it.
        files: of the bundle.
        shape: of the network's input by the manifest, with the leading 1.
        labels: how many.
        minimum: least versions of the agent and the runtimes.
        runtime: which interpreter.
        threads: threads of one inference.
        delegate: as `edge_agent.runtime.open_model` takes it.

    Raises:
        ClassifierError: if the models are something else, or this agent or runtime is too old.
        RuntimeModelError: if no runtime here takes them.
    """
    trunk = open_encoder(
        files[stated.trunk], stated.trunk, shape=shape, minimum=minimum, runtime=runtime,
        threads=threads, delegate=delegate,
    )  # fmt: skip
    exit_, rest = (
        open_end(
            files[name], name, takes=trunk.output, labels=labels, runtime=runtime, threads=threads,
            delegate=delegate,
        )
        for name in (stated.exit, stated.rest)
    )  # fmt: skip
    return EarlyExitNetwork(trunk=trunk, exit_=exit_, rest=rest, stated=stated)
