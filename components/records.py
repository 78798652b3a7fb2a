"""One recorded clip as a record: `Example`, its bytes, and the shards that hold them.

The bytes are a serialised tf.train.Example, so tf.data reads the shards, but TensorFlow is not
needed to write or read them: the three messages are built here from their field numbers
(tensorflow/core/example/{example,feature}.proto) in a descriptor pool of their own.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format

from components.tfrecord import RecordError, read_records

T = TypeVar("T")

SPLITS = ("train", "val", "test")
NOISE = "noise"
BACKGROUND_NOISE = "_background_noise_"
_SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.tfrecord")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One clip, decoded and cut to length, with what it was like before.

    Floats are kept as 32 bits.

    Attributes:
        audio: the clip, mono 16-bit PCM, little-endian.
        label: its folder's name; ``_background_noise_`` for a piece of a noise recording.
        speaker: who speaks; empty where nobody does.
        path: the source file, relative to the recordings; ``synthesised:...`` if there is none.
        digest: SHA-256 of the source file, hex; of the PCM if there is no source file.
        decoded_digest: SHA-256 of `audio`, hex.
        source_rate: sample rate of the recording as found, Hz.
        source_channels: its channels.
        source_seconds: its length, seconds.
        peak: its largest magnitude, 0 to 1 (full scale).
        rms: its root mean square over all channels, 0 to 1.
        dc_offset: its mean over all channels, -1 to 1.
        clipped_share: share of its samples at full scale, 0 to 1.
    """

    audio: bytes
    label: str
    speaker: str
    path: str
    digest: str
    decoded_digest: str
    source_rate: int
    source_channels: int
    source_seconds: float
    peak: float
    rms: float
    dc_offset: float
    clipped_share: float

    @property
    def pcm(self) -> npt.NDArray[np.int16]:
        """The clip's samples, shape (n,), read-only."""
        return np.frombuffer(self.audio, "<i2").astype(np.int16, copy=False)


def encode_record(record: Any) -> bytes:
    """The bytes of a frozen dataclass as a tf.train.Example; equal records give equal bytes.

    Its fields are of the types bytes, str, float (kept as 32 bits) and int, each one feature.
    """
    proto = _MESSAGE()
    features = proto.features.feature
    for name, kind in _kinds(type(record)).items():
        value = getattr(record, name)
        target = getattr(features[name], _LISTS[kind])
        target.value.append(value.encode() if kind == "str" else value)
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def decode_record(type_: type[T], data: bytes) -> T:
    """The record that `data` holds; features beyond its fields are ignored.

    Raises:
        RecordError: if it is no tf.train.Example, or a feature is missing or of another kind.
    """
    proto = _MESSAGE()
    try:
        proto.ParseFromString(data)
    except message.DecodeError as e:
        raise RecordError("a record is not a tf.train.Example") from e
    features = proto.features.feature
    values: dict[str, Any] = {}
    for name, kind in _kinds(type_).items():
        found: Sequence[Any] = ()
        if name in features:
            found = getattr(features[name], _LISTS[kind]).value
        if len(found) != 1:
            raise RecordError(f"a record's feature {name!r} is missing or not one {kind}")
        try:
            values[name] = found[0].decode() if kind == "str" else found[0]
        except UnicodeDecodeError as e:
            raise RecordError(f"a record's feature {name!r} is not UTF-8") from e
    return type_(**values)


def encode_example(example: Example) -> bytes:
    """The bytes of `example`; see `encode_record`."""
    return encode_record(example)


def decode_example(data: bytes) -> Example:
    """The example that `data` holds; see `decode_record`.

    Raises:
        RecordError: likewise, and if its audio is not whole samples.
    """
    example = decode_record(Example, data)
    if len(example.audio) % 2:
        raise RecordError("a record's audio is not whole 16-bit samples")
    return example


def shard_name(split: str, index: int, count: int) -> str:
    """The file name of shard `index` of `count` of `split`."""
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def shard_paths(folder: Path, split: str) -> list[Path]:
    """The shards of `split` in an Examples artifact, in order; empty if it has none.

    Raises:
        RecordError: if one of them is missing.
    """
    found: dict[int, Path] = {}
    counts = set()
    for path in folder.glob(f"{split}-*.tfrecord"):
        if (match := _SHARD.fullmatch(path.name)) and match["split"] == split:
            found[int(match["index"])] = path
            counts.add(int(match["count"]))
    if len(counts) > 1 or set(found) != set(range(max(counts, default=0))):
        raise RecordError(f"{folder}: shards of {split} are missing: make the examples again")
    return [found[index] for index in sorted(found)]


def read_examples(path: Path) -> Iterator[Example]:
    """Yields the examples of one shard in order.

    Raises:
        RecordError: if the shard is damaged; see `read_records` and `decode_example`.
    """
    return read_decoded(path, decode_example)


def read_decoded(path: Path, decode: Callable[[bytes], T]) -> Iterator[T]:
    """Yields what `decode` makes of the records of one shard, in order.

    Raises:
        RecordError: if the shard is damaged; see `read_records`.
    """
    for number, record in enumerate(read_records(path)):
        try:
            yield decode(record)
        except RecordError as e:
            raise RecordError(f"{path}, record {number}: {e}: make the examples again") from e


def _kinds(type_: type[Any]) -> dict[str, str]:
    return {field.name: str(field.type) for field in dataclasses.fields(type_)}


_LISTS = {"bytes": "bytes_list", "str": "bytes_list", "float": "float_list", "int": "int64_list"}


_PROTO = """
name: "tensorflow/example.proto"
package: "tensorflow"
syntax: "proto3"
message_type {
  name: "BytesList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES }
}
message_type {
  name: "FloatList"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT }
}
message_type {
  name: "Int64List"
  field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
}
message_type {
  name: "Feature"
  oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE type_name: "BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE type_name: "FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE type_name: "Int64List" oneof_index: 0 }
}
message_type {
  name: "Features"
  nested_type {
    name: "FeatureEntry"
    options { map_entry: true }
    field { name: "key" number: 1 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "value" number: 2 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: "Feature" }
  }
  field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE
          type_name: "FeatureEntry" }
}
message_type {
  name: "Example"
  field { name: "features" number: 1 type: TYPE_MESSAGE type_name: "Features" }
}
"""


def _message_class() -> Any:
    file = text_format.Parse(_PROTO, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


_MESSAGE = _message_class()
