"""Executor of AnomalyNetworkTrainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tf_keras as keras

from components.anomaly_network.component import AnomalyNetworkTrainerParameters
from components.base import Inputs, Metrics, Outputs, Progress
from components.models import registry
from components.models.catalogue import FORECASTERS
from components.models.macs import count_macs
from components.series_transform.preprocessing import read_preprocessing
from components.training import loop
from components.training.modality_dropout import drop_senses
from components.training.parameters import TrainingParameters
from edge_agent.features.audio import INPUT_SCALE

_LAST_RATE = 0.01  # of the first
_VALIDATION = -1  # in place of an epoch, where senses are drawn

Float32 = npt.NDArray[np.float32]
Pairs = tuple[Float32, Float32]


def execute(
    inputs: Inputs, outputs: Outputs, parameters: AnomalyNetworkTrainerParameters
) -> Metrics:
    """Trains the architecture and saves it; gives the errors of training and validation."""
    loop.prepare(TrainingParameters(threads=parameters.threads, seed=parameters.seed).schedule())
    forecasts = parameters.architecture in FORECASTERS
    train = _pairs(inputs["features"], "train", forecasts)
    val = _pairs(inputs["features"], "val", forecasts)
    _, frames, channels, _ = train[0].shape
    build = registry.build_forecaster if forecasts else registry.build_autoencoder
    model = build(parameters.architecture, frames, channels, parameters.widths)
    steps = parameters.epochs * -(-len(train[0]) // parameters.batch)
    rate = keras.optimizers.schedules.CosineDecay(parameters.learning_rate, steps, alpha=_LAST_RATE)
    model.compile(keras.optimizers.Adam(rate), "mse")
    senses = read_preprocessing(inputs["features"]).senses

    def without(pairs: Pairs, epoch: int) -> Pairs:
        """Each of `pairs` as it is, or without one sense."""
        if senses is None:
            return pairs
        seed = (parameters.seed, epoch)
        seen, wanted = (
            drop_senses(values.reshape(len(values), -1, channels), senses, share, seed).numpy()
            for values in pairs
        )
        return seen[..., None], wanted.reshape(len(wanted), -1)

    share = parameters.modality_dropout
    val = without(val, _VALIDATION)
    random = np.random.default_rng(parameters.seed)
    history: dict[str, list[float]] = {"loss": [], "validation_loss": []}
    best, kept = np.inf, model.get_weights()
    progress = Progress(float(parameters.epochs), "epochs")
    for epoch in range(parameters.epochs):
        noisy = train[0] + random.normal(0, parameters.noise, train[0].shape).astype(np.float32)
        fitted = model.fit(
            *without((noisy, train[1]), epoch),
            batch_size=parameters.batch,
            epochs=epoch + 1,
            initial_epoch=epoch,
            verbose=0,
        )
        loss = float(model.evaluate(*val, batch_size=1024, verbose=0))
        history["loss"].append(float(fitted.history["loss"][0]))
        history["validation_loss"].append(loss)
        if loss < best:
            best, kept = loss, model.get_weights()
        progress.at(epoch + 1, f"validation error {loss:.4f}")
    model.set_weights(kept)
    description = {
        "architecture": parameters.architecture,
        "arguments": {"widths": list(parameters.widths)},
        "params": int(model.count_params()),
        "macs": count_macs(model),
    }
    loop.save(model, outputs["model"], description, history)
    return {"loss": history["loss"][-1], "validation_loss": best}


def _pairs(features: Path, split: str, forecasts: bool) -> Pairs:
    """Normal windows, shape (n, frames, channels, 1), and what is to come of each, shape (n, outputs)."""
    codes = np.load(features / f"{split}.codes.npy", allow_pickle=False)
    after = np.load(features / f"{split}.next.npy", allow_pickle=False)
    if split == "train":
        with np.load(features / "train.index.npz", allow_pickle=False) as index:
            normal = index["view"] == 0
        codes, after = codes[normal], after[normal]
    seen = codes.astype(np.float32) * np.float32(INPUT_SCALE)
    return seen[..., None], after if forecasts else seen.reshape(len(seen), -1)
