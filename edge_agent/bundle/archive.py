"""Reading and writing bundles: a ZIP archive without compression, byte-identical for equal content.

Writing sorts the files and fixes every field that could vary (dates, modes, creator). Reading treats
the archive as hostile: the file's size is bounded before it is opened, each member's before it is
read; names are plain relative paths; compression, encryption, links and duplicates are refused; and
every file must match the size and SHA-256 in the manifest. The manifest itself is covered by the
signature on the whole bundle (TUF).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tokenize
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_agent.bundle.manifest import FileEntry, Manifest, ManifestError, decode_manifest

MANIFEST_NAME = "manifest.json"
MAX_BUNDLE_BYTES = 64 * 1024 * 1024
MAX_MANIFEST_BYTES = 1024 * 1024
MAX_FILES = 256
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,3}")
_EPOCH = (1980, 1, 1, 0, 0, 0)
# The last: NumPy reads a header once more as Python 2 may have written it.
_HEADER_ERRORS = (
    ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError, tokenize.TokenError,
)  # fmt: skip


class BundleError(Exception):
    """The bundle cannot be used; the message names the file, what is wrong, and the next step."""


class Bundle:
    """An opened, fully checked bundle, held in memory.

    Attributes:
        manifest: the parsed manifest.
        digest: SHA-256 of the whole archive, hex.
        files: content by name, without the manifest.
    """

    def __init__(self, manifest: Manifest, digest: str, files: Mapping[str, bytes]) -> None:
        self.manifest = manifest
        self.digest = digest
        self.files = files

    def array(self, name: str) -> npt.NDArray[np.generic]:
        """The `.npy` file `name`, read without pickle.

        Raises:
            BundleError: if it is not there or not a plain array.
        """
        return read_array(self.files, name)


def describe_files(files: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """The manifest's ``files`` table for `files`."""
    return {
        name: FileEntry(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
    }


def pack(manifest_data: bytes, files: Mapping[str, bytes]) -> bytes:
    """The bytes of an archive of an encoded manifest and `files`; equal input, equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in [(MANIFEST_NAME, manifest_data), *sorted(files.items())]:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a name that a bundle may hold")
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def read(path: Path | str) -> Bundle:
    """Opens and checks the bundle at `path`.

    Raises:
        BundleError: if it is missing, cut short, hostile, or not what its manifest says.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BUNDLE_BYTES:
                raise BundleError(f"{path}: {size} bytes; a bundle has at most {MAX_BUNDLE_BYTES}")
            data = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as e:
        raise BundleError(f"{path}: cannot be read: {e.strerror}") from e
    return unpack(data, str(path))


def unpack(data: bytes, origin: str = "bundle") -> Bundle:
    """Checks and opens the bytes of a bundle; `origin` names it in errors.

    Raises:
        BundleError: see `read`.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError(f"{origin}: larger than {MAX_BUNDLE_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive, len(data), origin)
            contents = {name: archive.read(info) for name, info in members.items()}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, ValueError) as e:
        raise BundleError(f"{origin}: not a whole bundle ({e}): fetch or build it again") from e
    except (NotImplementedError, RuntimeError, UnicodeError, OverflowError) as e:
        raise BundleError(f"{origin}: not a bundle ({e})") from e
    try:
        manifest = decode_manifest(contents.pop(MANIFEST_NAME))
    except ManifestError as e:
        raise BundleError(f"{origin}: {e}") from e
    _match(manifest, contents, origin)
    return Bundle(manifest, hashlib.sha256(data).hexdigest(), contents)


def read_array(files: Mapping[str, bytes], name: str) -> npt.NDArray[np.generic]:
    """A `.npy` file out of `files`, without pickle, its declared size held against its bytes.

    Raises:
        BundleError: if it is missing or is not a plain array.
    """
    data = files.get(name)
    if data is None:
        raise BundleError(f"the bundle holds no {name}")
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if reader is None:
            raise ValueError(f"format version {version} is not supported")
        shape, fortran_order, dtype = reader(stream)  # type: ignore[no-untyped-call]
        left = data[stream.tell() :]
        count = 1
        for dimension in shape:
            if not 0 <= dimension <= MAX_BUNDLE_BYTES:
                raise ValueError("its shape is out of bounds")
            count *= dimension
        if fortran_order or dtype.kind not in "iufb" or dtype.itemsize * count != len(left):
            raise ValueError("its header does not fit its data")
        return np.frombuffer(left, dtype).reshape(shape)
    except _HEADER_ERRORS as e:
        raise BundleError(f"{name}: not a plain .npy array: {e}") from e


def _members(
    archive: zipfile.ZipFile, archive_bytes: int, origin: str
) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise BundleError(f"{origin}: holds {len(infos)} files; a bundle has at most {MAX_FILES}")
    members: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for info in infos:
        name = info.filename
        if not _NAME.fullmatch(name) or name in members:
            raise BundleError(f"{origin}: holds a file name that is not allowed: {name[:80]!r}")
        mode = info.external_attr >> 16
        if (
            info.compress_type != zipfile.ZIP_STORED
            or info.flag_bits & 0x1
            or mode & 0o120000 == 0o120000
        ):
            raise BundleError(f"{origin}: {name} is compressed, encrypted or a link")
        limit = MAX_MANIFEST_BYTES if name == MANIFEST_NAME else MAX_BUNDLE_BYTES
        if info.file_size > limit:
            raise BundleError(f"{origin}: {name} has {info.file_size} bytes; at most {limit}")
        if info.file_size != info.compress_size:
            raise BundleError(f"{origin}: {name} has two sizes")
        total += info.file_size
        members[name] = info
    if total > archive_bytes:
        raise BundleError(f"{origin}: its files claim more bytes than the archive has")
    if MANIFEST_NAME not in members:
        raise BundleError(f"{origin}: holds no {MANIFEST_NAME}: not a bundle")
    return members


def _match(manifest: Manifest, contents: Mapping[str, bytes], origin: str) -> None:
    if set(contents) != set(manifest.files):
        odd = sorted(set(contents) ^ set(manifest.files))[:5]
        raise BundleError(f"{origin}: files and manifest do not agree on {', '.join(odd)}")
    for name, data in contents.items():
        entry = manifest.files[name]
        if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError(
                f"{origin}: {name} is not the file that the manifest names "
                "(changed or damaged): fetch or build the bundle again"
            )
