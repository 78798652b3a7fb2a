"""The artifact types, and what lies in the folder of each.

An artifact is a folder. Every one holds ``lineage.json``: {"component", "cache_key"}, type and key of the
execution that made it, so that equal keys give equal artifacts. What lies in a folder ``logs`` is for
people and does not count as content. The payload is written by one component and read by others through
the files named here; JSON is UTF-8, sorted by key, and arrays are `.npy` without pickle.

Recordings      as the user has them: ``label/speaker_nohash_n.wav``, optional ``train.txt val.txt
                test.txt``; read in place, never copied; pictures likewise, ``label/name.png``
Examples        ``<split>-00000-of-000NN.tfrecord`` (splits: train, val, test, noise); each record a
                tf.train.Example with: audio (bytes, little-endian int16 PCM), label, speaker, path,
                digest (SHA-256 of the source file, hex), decoded_digest (SHA-256 of the PCM), and the
                levels of the recording as found: source_rate, source_channels, source_seconds, peak
                (0..1), rms (0..1), dc_offset (-1..1), clipped_share (0..1)
                ``examples.json``: {"sample_rate", "clip_samples", "labels": [...], "splits":
                {split: {"clips", "labels": {label: n}, "speakers"}}, "split_by": "lists"|"speaker hash"}
                ``members.json``: {"shards": [{"file", "digest", "made_from", "labels", "recordings":
                [{"path", "digest", "label", "speaker"}]}]}, a line a shard (components.members)
                Of pictures, each record is a components.picture_records.PictureExample, and
                ``examples.json`` has neither sample_rate nor clip_samples
Statistics      ``statistics.json``
Schema          ``schema.json``: what the data must look like; inferred once and then held
Validation      ``anomalies.json``: [{"severity": "error"|"warning", "what", "where", "advice"}]
Features        ``<split>.codes.npy`` int8 (rows, margin + frames + margin, channels) and
                ``<split>.index.npz`` with int32 arrays label, clip, view (one entry a row of codes),
                for train, val and test; ``noise.pcm.npy`` int16, all noise recordings end to end.
                ``features.json``: {"features": AudioFeatures, "clip_samples", "frames",
                "margin_frames", "labels": [...], "splits": {split: {"clips", "views",
                "speakers", "paths", "digests": a list each, one entry a clip,
                "shards": [components.transform.earlier.ShardRecord, in the order of the rows]}}}
                View 0 of a clip is the clip as recorded; the others are fixed augmentations of it.
                Of pictures, codes are (rows, height, width) or (rows, height, width, 3), features are
                an ImageFeatures, margin_frames is 0; there is no noise, clip_samples or shards.
                The margin is what stands before and after the clip (silence, or the view's noise),
                so that any shift up to it is a slice.
Series          logs of machines as arrays (components.series); their Features have, beside the codes of
                normal and of widened windows, ``train.index.npz`` with the array view (0: as it is, 1:
                widened), ``<split>.next.npy`` float32 (rows, channels): the row after each window, and
                ``features.json``: {"preprocessing": components.series_transform.preprocessing,
                "frames", "margin_frames": 0, "channels": [...]}; no labels, clips or noise
Trial           ``trial.json``: {"state", "reason", "accuracy", "accuracies": one an epoch, "bytes", "macs",
                "arena_bytes"}: what came of a candidate (components.tuner.outcome)
AnomalyModel    ``parameters.npz`` float32 (names of edge_agent.anomaly.scoring.Scorer.parameters),
                ``normal.npy`` float64 (rows, channels): one file, normal at its beginning,
                ``model.json``: {"channels": [...], "scoring": ScoringSettings, "files": [...],
                "params", "bytes"}
Model           ``model.h5`` (tf_keras), ``model.json``: {"architecture",
                "arguments", "params", "macs"}, ``history.json``: {curve name: [value an epoch]};
                from the Trainer also ``early.h5``: weights of early in training, for rewinding; once
                it was pruned, ``model.json`` has "pruning": how, and "sparsity"; with kernels of few
                values, "weights": which
Gate            ``gate.json``: {"opens_at": null} where there is none; else {"opens_at", "opened":
                {split: {gate label: share of its windows that open it}}, "bytes", "macs",
                "operators"}, with ``gate.tflite`` and the files of a Model
EarlyExit       ``early_exit.json``: {"early_exit": null} where there is none; else {"early_exit":
                edge_agent.bundle.manifest.EarlyExit, "left": {label: share of its validation windows
                that leave}, "bytes": {"trunk", "exit", "rest"}, "operators": those of the exit}, with
                ``trunk.tflite``, ``exit.tflite`` and ``rest.tflite``
Int8Model       ``model.tflite``, ``conversion.json``: {"bytes", "download_bytes", "operators":
                [{"name", "version", "count"}], "macs", "float_tensors": [...]}; of a model that takes
                new frames alone, ``model.streaming.json``: components.converter.streaming.StreamingForm but
                its model
Evaluation      ``evaluation.json`` (keys in components.evaluator), ``gates.json``; of a transfer
                ``retention.json`` (components.word_transfer.retention) in its place; of a Screener no
                gates, and figures of its own (components.screener.executor)
InfraValidation ``infra_validation.json`` (keys in components.infra_validator), ``gates.json``
Bundle          ``candidate.bundle``: what a device gets (see edge_agent.bundle)
Release         ``release.json``: {"name", "version", "target", "digest", "new": bool}
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# In a Model artifact of the Trainer: weights of early in training.
EARLY = "early.h5"


@dataclasses.dataclass(frozen=True)
class ArtifactType:
    """A kind of artifact, by its name in the lineage store."""

    name: str


RECORDINGS = ArtifactType("Recordings")
EXAMPLES = ArtifactType("Examples")
STATISTICS = ArtifactType("Statistics")
SCHEMA = ArtifactType("Schema")
VALIDATION = ArtifactType("Validation")
SERIES = ArtifactType("Series")
FEATURES = ArtifactType("Features")
MODEL = ArtifactType("Model")
TRIAL = ArtifactType("Trial")
ANOMALY_MODEL = ArtifactType("AnomalyModel")
GATE = ArtifactType("Gate")
EARLY_EXIT = ArtifactType("EarlyExit")
INT8_MODEL = ArtifactType("Int8Model")
EVALUATION = ArtifactType("Evaluation")
INFRA_VALIDATION = ArtifactType("InfraValidation")
BUNDLE = ArtifactType("Bundle")
RELEASE = ArtifactType("Release")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition for release, decided.

    Attributes:
        name: what is demanded, short and stable, e.g. ``int8_drop``.
        value: the measured figure.
        limit: the figure it is held against.
        passed: whether it holds.
        advice: what to try if it does not.
    """

    name: str
    value: float
    limit: float
    passed: bool
    advice: str = ""


def write_json(path: Path, content: Any) -> None:
    """Writes JSON the one way this project does: sorted, indented, UTF-8, no NaN."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads a JSON file that a component of this pipeline wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_gates(folder: Path, gates: Sequence[Gate]) -> None:
    """Writes `gates` as ``gates.json`` into an artifact's folder."""
    write_json(folder / "gates.json", [dataclasses.asdict(g) for g in gates])


def read_gates(folder: Path) -> list[Gate]:
    """The gates that a component decided, from its artifact's folder."""
    return [Gate(**g) for g in read_json(folder / "gates.json")]
