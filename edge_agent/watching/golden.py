"""The self-test of a bundle for anomaly detection: golden rows in, golden scores out."""

from __future__ import annotations

import numpy as np

from edge_agent.bundle.archive import Bundle
from edge_agent.watching.bundle import WatchError, anomaly_manifest, open_scorer


def largest_difference(bundle: Bundle) -> tuple[int, float]:
    """How many golden rows there are, and how far a score is off at most.

    Raises:
        WatchError: if the rows do not fit the bundle.
        BundleError: if they are no arrays.
    """
    manifest = anomaly_manifest(bundle.manifest)
    scorer = open_scorer(bundle)
    rows, scores = (bundle.array(name) for name in (manifest.golden.rows, manifest.golden.scores))
    if (
        rows.dtype != np.float64
        or scores.dtype != np.float64
        or rows.ndim != 2
        or not len(rows)
        or rows.shape[1] != scorer.channels
        or scores.shape != (len(rows),)
        or not np.isfinite(scores).all()
    ):
        raise WatchError(
            f"{manifest.golden.rows} {rows.shape} and {manifest.golden.scores} {scores.shape} do "
            "not fit the bundle: build it again"
        )
    found = scorer.process(rows.astype(np.float64)).score
    return len(rows), float(np.abs(found - scores.astype(np.float64)).max())
