"""The scorer that a bundle for anomaly detection holds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import edge_agent
from edge_agent.anomaly.network import Int8Network
from edge_agent.anomaly.rows import Parameters
from edge_agent.anomaly.scoring import Scorer
from edge_agent.bundle.archive import Bundle
from edge_agent.bundle.manifest import AnomalyManifest, Manifest
from edge_agent.compatibility import CompatibilityError, check_minimum
from edge_agent.runtime import RuntimeModelError


class WatchError(Exception):
    """The bundle cannot watch rows here; the message says why."""


def anomaly_manifest(manifest: Manifest) -> AnomalyManifest:
    """The manifest, if it is one for anomaly detection that this agent is new enough for.

    Raises:
        WatchError: if it is not.
    """
    if not isinstance(manifest, AnomalyManifest):
        raise WatchError(
            f"the bundle is for {manifest.workload}, not for anomaly_detection: name another, or "
            "use its own command (python -m edge_agent --help)"
        )
    try:
        check_minimum(manifest.minimum, {"agent": edge_agent.__version__})
    except CompatibilityError as e:
        raise WatchError(str(e)) from e
    return manifest


def open_scorer(bundle: Bundle) -> Scorer:
    """A scorer at the beginning of a stream of rows with `manifest.channels`.

    Raises:
        WatchError: if the bundle is for something else, or its parameters or its network do not
            fit, or the network cannot be run here.
        BundleError: if a parameter is no array.
    """
    manifest = anomaly_manifest(bundle.manifest)
    parameters: Parameters = {
        name: _float32(bundle.array(file), file) for name, file in manifest.parameters.items()
    }
    network = manifest.network
    try:
        predict = None if network is None else Int8Network(bundle.files[network.model])
        scorer = Scorer(manifest.scoring, predict)
        scorer.load(parameters)
    except ValueError as e:
        raise WatchError(f"the parameters do not fit the settings: {e}") from e
    except RuntimeModelError as e:
        raise WatchError(f"the network of the bundle: {e}") from e
    if scorer.channels != len(manifest.channels):
        raise WatchError(
            f"the parameters are for {scorer.channels} channels, and the manifest names "
            f"{len(manifest.channels)}: build the bundle again"
        )
    return scorer


def _float32(array: npt.NDArray[np.generic], file: str) -> npt.NDArray[np.float32]:
    if array.dtype != np.float32:
        raise WatchError(f"{file}: holds {array.dtype}, not float32: build the bundle again")
    return array.astype(np.float32)
