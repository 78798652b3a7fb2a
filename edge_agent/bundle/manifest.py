"""The manifest of a bundle: everything that an agent must know to run what is inside.

The schema version is ``major.minor``: an agent reads any minor of a major it knows, ignoring keys it
does not know, and refuses an unknown major. Minor 1 added the workload ``anomaly_detection``; a keyword
bundle is the same in both. Minor 2 added gates; a bundle without one says 1.1, and its bytes are the same.
Minor 3 added the workload ``image_classification``, minor 4 autoencoders among the detectors of anomalies,
minor 5 streaming stages, minor 6 what learning on the device needs (an older agent runs such a bundle as it
is), minor 7 a network in a bundle for anomaly detection, and one that takes signals, minor 8 how far
thresholds may follow a room (an older agent keeps them as they are), minor 9 early exits (an older agent runs
the whole network for each window).
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, Literal

from edge_agent.anomaly.scoring import ScoringSettings
from edge_agent.decoding import ADDED, DecodeError, decode, encode
from edge_agent.features.audio import AudioFeatures
from edge_agent.features.image import ImageFeatures
from edge_agent.features.series import VibrationFeatures

SCHEMA_VERSION = "1.1"
GATED_SCHEMA_VERSION = "1.2"
IMAGE_SCHEMA_VERSION = "1.3"
AUTOENCODER_SCHEMA_VERSION = "1.4"
STREAMING_SCHEMA_VERSION = "1.5"
ADAPTABLE_SCHEMA_VERSION = "1.6"
NETWORK_SCHEMA_VERSION = "1.7"
ROOM_SCHEMA_VERSION = "1.8"
EARLY_EXIT_SCHEMA_VERSION = "1.9"
SENSES_SCHEMA_VERSION = "1.10"
UNKNOWN = "_unknown_"
SILENCE = "_silence_"


class ManifestError(ValueError):
    """The manifest cannot be used; the message says which key and why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator of a model: its TFLite name, the op version, and how often it stands there."""

    name: str
    version: int
    count: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gate:
    """What makes a stage a gate: a small model that runs each hop, and says whether others need to.

    Its outputs are the probabilities of `_silence_`, of `_unknown_` and of any keyword, in this order.

    Attributes:
        opens_at: probability of any keyword, from which on the stages that it gates run.
        macs: multiply-accumulates of one run of it.
        golden_outputs: .npy file, int8, shape (n, 3): what TFLite's reference kernels gave for the
            inputs of the bundle's golden vectors.
    """

    opens_at: float
    macs: int
    golden_outputs: str

    def __post_init__(self) -> None:
        if not 0.0 <= self.opens_at <= 1.0 or self.macs < 0:
            raise ValueError("opens_at must be 0 to 1, and macs 0 or more")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One model of the bundle, and how it is fed.

    Attributes:
        name: what other stages call it.
        model: the .tflite file in the archive.
        mode: ``sliding_window`` runs over a whole window each hop; ``streaming`` over new frames only.
        frames: feature frames that the input takes: a window, or what is new in a step.
        state: (input name, output name) pairs that carry state from step to step.
        gated_by: the gate that must open before this one runs, if any.
        gate: what makes this one a gate, if it is one.
        window: frames that an output of a streaming stage depends on, the newest the last of them.
    """

    name: str
    model: str
    mode: Literal["sliding_window", "streaming"]
    frames: int
    state: tuple[tuple[str, ...], ...] = ()
    gated_by: str | None = None
    gate: Gate | None = dataclasses.field(default=None, metadata=ADDED)
    window: int | None = dataclasses.field(default=None, metadata=ADDED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RoomBounds:
    """How far a device's thresholds may follow the room that it stands in (`edge_agent.keyword.room`).

    Attributes:
        near_per_hour: near misses an hour of the sound that the thresholds were chosen on: times that a
            label came to its `lowest` threshold, and not to that of the policy.
        lowest: by label, the lowest threshold.
        highest: by label, the highest.
        lowest_accepts: false accepts with `lowest`, as a multiple of those with the policy's.
        highest_accepts: the same with `highest`.
        memory_hours: hours of sound after which what was heard counts a third of what it did.
    """

    near_per_hour: float
    lowest: dict[str, float]
    highest: dict[str, float]
    lowest_accepts: float
    highest_accepts: float
    memory_hours: float

    def __post_init__(self) -> None:
        if not 0.0 < self.near_per_hour <= 1e6:
            raise ValueError("room.near_per_hour must lie above 0, and at most 1000000")
        if not 1e-3 <= self.highest_accepts < 1.0 < self.lowest_accepts <= 1e3:
            raise ValueError(
                "room.highest_accepts must be 0.001 to below 1, lowest_accepts above 1 to 1000"
            )
        if not 0.01 <= self.memory_hours <= 10_000:
            raise ValueError("room.memory_hours must be 0.01 to 10000")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionPolicy:
    """How scores become detections, in evaluation and on the device alike.

    Attributes:
        hop_frames: feature frames from one inference to the next.
        smoothing: consecutive inferences whose probabilities are averaged.
        thresholds: averaged probability at which each label fires; labels not named never fire.
        refractory_ms: time after a detection in which the same label does not fire again.
        clip_hops: positions, in hops around the middle, that one isolated clip is scored at; the
            mean of their probabilities decides.
        room: how far the thresholds may follow the room; not at all if None.
    """

    hop_frames: int
    smoothing: int
    thresholds: dict[str, float]
    refractory_ms: int
    clip_hops: tuple[int, ...] = (0,)
    room: RoomBounds | None = dataclasses.field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if not 1 <= self.hop_frames <= 1000 or not 1 <= self.smoothing <= 100:
            raise ValueError("hop_frames must be 1 to 1000 and smoothing 1 to 100")
        if not 0 <= self.refractory_ms <= 60_000:
            raise ValueError("refractory_ms must be 0 to 60000")
        if not 1 <= len(self.clip_hops) <= 100 or any(abs(h) > 1000 for h in self.clip_hops):
            raise ValueError("clip_hops must hold 1 to 100 positions within 1000 hops")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Golden:
    """Input and output vectors for the self-test.

    Attributes:
        inputs: .npy file, int8, shape (n, frames, channels), or (n, *features.shape) of pictures.
        outputs: .npy file, int8, shape (n, labels): what TFLite's reference kernels gave.
        tolerance: by runtime (``tflite_runtime``, ``litert``), the largest difference in LSB.
    """

    inputs: str
    outputs: str
    tolerance: dict[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckSet:
    """Feature codes with labels, to tell whether the device's model has forgotten something."""

    codes: str
    labels: str
    accuracy: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What a device needs to learn a new last layer (a head) for the one stage of the bundle.

    Attributes:
        embedding: the tensor of the stage's main graph that the last layer takes.
        weights: .npy file, float32, shape (labels, size of an embedding): the last layer's.
        bias: .npy file, float32, shape (labels,).
        replay: .npy file, int8, shape (n, size): embeddings of training clips of all labels, which guard
            them.
    """

    embedding: int
    weights: str
    bias: str
    replay: str

    def __post_init__(self) -> None:
        if self.embedding < 0:
            raise ValueError("embedding must be 0 or more")

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it names."""
        return (self.weights, self.bias, self.replay)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyExit:
    """The network of the one stage in two parts, with an exit between them.

    Attributes:
        trunk: the .tflite file that takes the window.
        exit: the one that takes what the trunk gives, and gives probabilities of all labels.
        rest: the one that takes the same, and gives what the stage's model gives.
        leaves_at: top probability of the exit, from which on the rest need not run.
        trunk_macs: multiply-accumulates of one run of the trunk.
        exit_macs: likewise of the exit.
        rest_macs: likewise of the rest.
        golden_outputs: .npy file, int8, shape (n, labels): what the exit gave for the inputs of the
            bundle's golden vectors, by TFLite's reference kernels.
    """

    trunk: str
    exit: str
    rest: str
    leaves_at: float
    trunk_macs: int
    exit_macs: int
    rest_macs: int
    golden_outputs: str

    def __post_init__(self) -> None:
        if not 0.0 <= self.leaves_at <= 1.0:
            raise ValueError("leaves_at must be 0 to 1")
        if min(self.trunk_macs, self.exit_macs, self.rest_macs) < 0:
            raise ValueError("trunk_macs, exit_macs and rest_macs must be 0 or more")

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it names."""
        return (self.trunk, self.exit, self.rest, self.golden_outputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget:
    """What one inference may cost on the device: milliseconds, and bytes of resident memory."""

    latency_ms: float
    memory_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a trial of this bundle may show before it is taken back.

    Attributes:
        triggers_per_hour: most detections an hour on negative audio.
        score_mean: lowest and highest mean top probability seen in evaluation.
        crashes: most crashes of the workload.
    """

    triggers_per_hour: float
    score_mean: tuple[float, ...]
    crashes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileEntry:
    """Size and SHA-256 (hex) of one file in the archive."""

    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What every bundle says. The version of a release is not here: it belongs to the release.

    Attributes:
        name: the model family, e.g. ``keyword_spotting``.
        workload: which workload of the agent runs it.
        targets: profiles it was checked against.
        minimum: least versions, by ``agent``, ``tflite_runtime``, ``litert``.
        budget: what one inference, or one row, may cost.
        envelope: what a trial may show.
        licence: licence of the model, as an SPDX expression or a sentence.
        lineage: digest of the cache keys that led here.
        files: every other file in the archive.
    """

    schema_version: str
    name: str
    workload: str
    targets: tuple[str, ...]
    minimum: dict[str, str]
    budget: Budget
    envelope: Envelope
    licence: str
    lineage: str
    files: dict[str, FileEntry]


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeywordManifest(Manifest):
    """What a bundle for keyword spotting says.

    Attributes:
        features: the audio front end.
        labels: the model's outputs, in order.
        stages: the models.
        policy: from scores to detections.
        operators: all operators of all stages.
        arena_bytes: TFLM arena of the largest stage, reference kernels; 0 where it did not run.
        macs: multiply-accumulates of one inference in which every stage runs.
        warm_up_frames: feature frames before the first score counts.
        golden: for the self-test.
        check_set: to tell whether a changed model has forgotten something.
        adaptation: for learning on the device; None where the model has no last layer that could.
        early_exit: the network once more, in two parts; None where it runs as a whole alone.
    """

    workload: Literal["keyword_spotting"]
    features: AudioFeatures
    labels: tuple[str, ...]
    stages: tuple[Stage, ...]
    policy: DetectionPolicy
    operators: tuple[Operator, ...]
    arena_bytes: int
    macs: int
    warm_up_frames: int
    golden: Golden
    check_set: CheckSet
    adaptation: Adaptation | None = dataclasses.field(default=None, metadata=ADDED)
    early_exit: EarlyExit | None = dataclasses.field(default=None, metadata=ADDED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Channel:
    """One column of the rows that a detector of anomalies takes.

    Attributes:
        name: the column's name.
        longest_still: most rows in a row that it kept one value for while all was normal.
    """

    name: str
    longest_still: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoldenRows:
    """Rows and their scores, for the self-test.

    Attributes:
        rows: .npy file, float64, shape (n, channels): a stream from its beginning.
        scores: .npy file, float64, shape (n,): what they scored where the bundle was built.
        tolerance: the largest difference of a score, in its own unit.
    """

    rows: str
    scores: str
    tolerance: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyNetwork:
    """The network of a detector of anomalies (`edge_agent.anomaly.network`).

    Attributes:
        model: the .tflite file in the archive.
        operators: all operators of the model.
        arena_bytes: TFLM arena, reference kernels; 0 where it did not run.
        macs: multiply-accumulates of one row.
    """

    model: str
    operators: tuple[Operator, ...]
    arena_bytes: int
    macs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnomalyManifest(Manifest):
    """What a bundle for anomaly detection says.

    Attributes:
        channels: the columns of a row, in order.
        scoring: from rows to scores and alarms; `scoring.per_machine` names what the agent learns
            itself in the first `scoring.warm_up_rows` rows of a stream.
        parameters: .npy file, float32, by the parameter's name.
        golden: for the self-test.
        network: the one that `scoring.detectors.network` speaks of; None where it speaks of none.
        vibration: how the rows are made of a signal; None where they come as rows.
    """

    workload: Literal["anomaly_detection"]
    channels: tuple[Channel, ...]
    scoring: ScoringSettings
    parameters: dict[str, str]
    golden: GoldenRows
    network: AnomalyNetwork | None = dataclasses.field(default=None, metadata=ADDED)
    vibration: VibrationFeatures | None = dataclasses.field(default=None, metadata=ADDED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageManifest(Manifest):
    """What a bundle for the classification of pictures says.

    Its envelope's ``triggers_per_hour`` says nothing: there is no stream.

    Attributes:
        features: how a picture becomes the model's input.
        labels: the model's outputs, in order.
        model: the .tflite file in the archive.
        operators: all operators of the model.
        arena_bytes: TFLM arena, reference kernels; 0 where it did not run.
        macs: multiply-accumulates of one inference.
        golden: for the self-test.
        check_set: to tell whether a changed model has forgotten something.
    """

    workload: Literal["image_classification"]
    features: ImageFeatures
    labels: tuple[str, ...]
    model: str
    operators: tuple[Operator, ...]
    arena_bytes: int
    macs: int
    golden: Golden
    check_set: CheckSet


AnyManifest = KeywordManifest | AnomalyManifest | ImageManifest

_BY_WORKLOAD: dict[str, type[AnyManifest]] = {
    "keyword_spotting": KeywordManifest,
    "anomaly_detection": AnomalyManifest,
    "image_classification": ImageManifest,
}


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as deterministic JSON bytes."""
    return (json.dumps(encode(manifest), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def decode_manifest(data: bytes) -> AnyManifest:
    """Parses and checks a manifest.

    Raises:
        ManifestError: naming the key that is wrong, or the schema version that is not known.
    """
    try:
        content: Any = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as e:
        raise ManifestError(f"manifest.json is not JSON: {e}") from e
    if not isinstance(content, dict):
        raise ManifestError("manifest.json does not hold a table")
    version = content.get("schema_version")
    major = SCHEMA_VERSION.split(".")[0]
    if not isinstance(version, str) or not re.fullmatch(r"\d{1,4}\.\d{1,4}", version):
        raise ManifestError("manifest.json: schema_version is not of the form '1.0'")
    if version.split(".")[0] != major:
        raise ManifestError(
            f"manifest.json has schema version {version}, and this agent reads {major}.x: "
            "update the agent, or release the bundle with a matching pipeline"
        )
    try:
        manifest = decode(_type(content.get("workload")), content)
    except (DecodeError, RecursionError) as e:
        raise ManifestError(f"manifest.json: {e}") from e
    for file in _used(manifest):
        if file not in manifest.files:
            raise ManifestError(f"manifest.json: {file} is used but not listed in files")
    return manifest


def _used(manifest: AnyManifest) -> tuple[str, ...]:
    """Checks what the types do not say; gives the files that are used."""
    if isinstance(manifest, AnomalyManifest):
        return _check_rows(manifest)
    labels = manifest.labels
    if len(set(labels)) != len(labels) or not 2 <= len(labels) <= 1000:
        raise ManifestError("manifest.json: labels must be 2 to 1000 different words")
    golden, check = manifest.golden, manifest.check_set
    models = (manifest.model,) if isinstance(manifest, ImageManifest) else _check(manifest)
    return (*models, golden.inputs, golden.outputs, check.codes, check.labels)


def _type(workload: Any) -> type[AnyManifest]:
    if not isinstance(workload, str) or workload not in _BY_WORKLOAD:
        raise ManifestError(
            f"manifest.json: workload: {str(workload)[:60]!r} is not one of "
            f"{', '.join(_BY_WORKLOAD)}: update the agent"
        )
    return _BY_WORKLOAD[workload]


def _check_rows(manifest: AnomalyManifest) -> tuple[str, ...]:
    """Checks what the types do not say; gives the files that are used."""
    names = [channel.name for channel in manifest.channels]
    if len(set(names)) != len(names) or not 1 <= len(names) <= 1000 or not all(names):
        raise ManifestError("manifest.json: channels must be 1 to 1000 different names")
    if any(channel.longest_still < 1 for channel in manifest.channels):
        raise ManifestError("manifest.json: channels: longest_still must be 1 or more")
    if not manifest.golden.tolerance >= 0:
        raise ManifestError("manifest.json: golden.tolerance must be 0 or more")
    network = manifest.network
    if (network is None) != (manifest.scoring.detectors.network is None):
        raise ManifestError(
            "manifest.json: network and scoring.detectors.network must be there together"
        )
    if manifest.vibration is not None and len(names) % len(manifest.vibration.names):
        raise ManifestError(
            f"manifest.json: {len(names)} channels are no multiple of the "
            f"{len(manifest.vibration.names)} features of vibration"
        )
    models = () if network is None else (network.model,)
    golden = manifest.golden
    return (*models, *manifest.parameters.values(), golden.rows, golden.scores)


def _check(manifest: KeywordManifest) -> tuple[str, ...]:
    """Checks what the types do not say of sound; gives the models that are used."""
    labels = manifest.labels
    for needed in (UNKNOWN, SILENCE):
        if needed not in labels:
            raise ManifestError(f"manifest.json: labels lack {needed}")
    for label, threshold in manifest.policy.thresholds.items():
        if label not in labels or not 0.0 <= threshold <= 1.0:
            raise ManifestError(f"manifest.json: policy.thresholds.{label} is not usable")
    if manifest.policy.room is not None:
        _check_room(manifest.policy.thresholds, manifest.policy.room)
    if not manifest.stages:
        raise ManifestError("manifest.json: stages is empty")
    names = [s.name for s in manifest.stages]
    gates = {s.name: s.gate for s in manifest.stages if s.gate is not None}
    for stage in manifest.stages:
        if not 1 <= stage.frames <= 10_000:
            raise ManifestError(f"manifest.json: stage {stage.name}: frames must be 1 to 10000")
        if stage.gated_by is not None and stage.gated_by not in names:
            raise ManifestError(f"manifest.json: stage {stage.name}: no stage {stage.gated_by}")
        if stage.gated_by is not None and stage.gated_by not in gates:
            raise ManifestError(f"manifest.json: stage {stage.name}: {stage.gated_by} is no gate")
        streams = stage.window is not None and stage.frames <= stage.window <= 10_000
        if streams != (stage.mode == "streaming") or (stage.window is not None and not streams):
            raise ManifestError(
                f"manifest.json: stage {stage.name}: a streaming stage, and no other, has a window of "
                "at least its frames and at most 10000"
            )
        if any(len(pair) != 2 for pair in stage.state):
            raise ManifestError(
                f"manifest.json: stage {stage.name}: state pairs are (input, output)"
            )
    opened = [gate.golden_outputs for gate in gates.values()]
    learning = manifest.adaptation.files if manifest.adaptation is not None else ()
    leaving = manifest.early_exit.files if manifest.early_exit is not None else ()
    if leaving and (len(names) > 1 or gates or manifest.stages[0].mode != "sliding_window"):
        raise ManifestError(
            "manifest.json: early_exit: there must be one sliding_window stage, and no gate"
        )
    return (*(stage.model for stage in manifest.stages), *opened, *learning, *leaving)


def _check_room(thresholds: dict[str, float], room: RoomBounds) -> None:
    if not set(thresholds) == set(room.lowest) == set(room.highest):
        raise ManifestError("manifest.json: policy.room must bound each of policy.thresholds")
    for label, threshold in thresholds.items():
        if not 0.0 <= room.lowest[label] <= threshold <= room.highest[label] <= 1.0:
            raise ManifestError(
                f"manifest.json: policy.room: the bounds of {label} are not on both sides of its threshold"
            )
