"""How far one runtime's outputs lie from the reference's: pure."""

from __future__ import annotations

import dataclasses

import numpy as np

from components.infra_validator.reference import Int8

_WIDEST_LSB = 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parity:
    """A comparison of int8 scores over a number of windows.

    Attributes:
        rows: windows compared.
        equal_share: share of scores that are the same, 0 to 1.
        max_lsb: largest difference of a score, in steps of the output's quantisation.
        decisions_equal: share of windows with the same highest-scoring label, 0 to 1; where the
            reference has several labels at its highest score, any of them counts.
    """

    rows: int
    equal_share: float
    max_lsb: int
    decisions_equal: float

    @property
    def verdict(self) -> str:
        """What the parity gate says about it."""
        if self.max_lsb == 0:
            return "equal"
        if self.max_lsb <= 1 and self.decisions_equal == 1.0:
            return "within 1 LSB with the same decisions"
        return "different"


NOT_RUN = Parity(rows=0, equal_share=0.0, max_lsb=_WIDEST_LSB, decisions_equal=0.0)


def compare(outputs: Int8, reference: Int8) -> Parity:
    """`outputs` against `reference`, both of shape (windows, labels).

    Raises:
        ValueError: if the shapes differ.
    """
    if outputs.shape != reference.shape:
        raise ValueError(f"outputs of shape {outputs.shape} against {reference.shape}")
    difference = np.abs(outputs.astype(np.int16) - reference.astype(np.int16))
    said = outputs.argmax(axis=1)
    at_said = reference[np.arange(len(reference)), said]
    return Parity(
        rows=len(outputs),
        equal_share=float(np.mean(difference == 0)),
        max_lsb=int(difference.max()),
        decisions_equal=float(np.mean(at_said == reference.max(axis=1))),
    )
