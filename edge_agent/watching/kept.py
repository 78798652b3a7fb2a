"""What streams taught on this device, kept over restarts, in the device folder.

    adaptations/anomaly-DIGEST.npz    by bundle: the parameters that the warm-up taught, what adaptation
                                      moved, and of which source; the two newest stay

A bundle that is rolled back to has its own again. Everything appears by rename, after it is synced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np

from edge_agent.adaptation.current import FOLDER
from edge_agent.adaptation.errors import AdaptationError
from edge_agent.adaptation.reverts import Reverts, reverts
from edge_agent.anomaly.rows import Parameters
from edge_agent.anomaly.scoring import ADAPTED
from edge_agent.bundle.archive import MAX_BUNDLE_BYTES

KEPT = 2
_NAME = re.compile(r"anomaly-[0-9a-f]{16}\.npz")
_MAX_BYTES = 2 * MAX_BUNDLE_BYTES  # what was learned, and what adaptation moved


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptStream:
    """What one stream taught.

    Attributes:
        bundle: SHA-256 (hex) of the bundle that watched it.
        source: where its rows came from, as in agent.toml.
        reverts: how often things had been taken back when its process began.
        drift: how far adaptation had moved the centres, in normal scales.
        parameters: as `Scorer.kept` gives them.
    """

    bundle: str
    source: str
    reverts: Reverts
    drift: float
    parameters: Parameters

    def as_json(self) -> dict[str, object]:
        """What is said of it."""
        return {"bundle": self.bundle, "source": self.source, "distance": round(self.drift, 4)}


class KeptStreams:
    """The kept streams of the device folder `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / FOLDER

    def all(self) -> list[KeptStream]:
        """Those that can be read, the newest first."""
        found = []
        for path in self._paths():
            try:
                found.append(_read(path))
            except AdaptationError:
                continue
        return found

    def of(self, bundle: str, source: str) -> KeptStream | None:
        """What can be gone on with, without what was taken back since; None where nothing is kept.

        Raises:
            AdaptationError: if what is kept is of another source, or damaged.
        """
        path = self._path(bundle)
        if not path.exists():
            return None
        kept, now = _read(path), reverts(self._root)
        if kept.bundle != bundle or kept.reverts.warm_up != now.warm_up:
            return None
        if kept.source != source:
            raise AdaptationError(
                f"{path}: was learned from {kept.source}, not from {source}: the warm-up begins anew"
            )
        if kept.reverts.adapted == now.adapted:
            return kept
        left = {n: a for n, a in kept.parameters.items() if not n.startswith(f"{ADAPTED}.")}
        return dataclasses.replace(kept, drift=0.0, parameters=left)

    def keep(self, stream: KeptStream) -> None:
        """Keeps `stream` in place of what was kept of its bundle; the oldest go, beyond `KEPT`.

        Raises:
            AdaptationError: if the disk refuses.
        """
        from edge_agent.update import durable
        from edge_agent.update.errors import StorageError

        try:
            with durable.storage_errors(self._root):
                durable.make_folder(self._folder)
                path = self._path(stream.bundle)
                durable.write_whole(path, _encode(stream))
                durable.make_newest(path, (one for one in self._paths() if one != path))
                for old in self._paths()[KEPT:]:
                    durable.remove(old)
        except StorageError as e:
            raise AdaptationError(str(e)) from e

    def _path(self, bundle: str) -> Path:
        return self._folder / f"anomaly-{bundle[:16]}.npz"

    def _paths(self) -> list[Path]:
        """The newest first."""
        if not self._folder.is_dir():
            return []
        found: dict[Path, int] = {}
        for path in self._folder.iterdir():
            if _NAME.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):  # its watcher may be removing it
                    found[path] = path.stat().st_mtime_ns
        return sorted(found, key=lambda path: -found[path])


def _encode(stream: KeptStream) -> bytes:
    about = {
        "bundle": stream.bundle,
        "source": stream.source,
        "reverts": dataclasses.asdict(stream.reverts),
        "drift": stream.drift,
    }
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(buffer, about=text, **{f"p.{n}": array for n, array in stream.parameters.items()})
    return buffer.getvalue()


def _read(path: Path) -> KeptStream:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            return KeptStream(
                bundle=str(about["bundle"]),
                source=str(about["source"]),
                reverts=Reverts(**{name: int(n) for name, n in about["reverts"].items()}),
                drift=float(about["drift"]),
                parameters={
                    name.removeprefix("p."): arrays[name].astype(np.float32, casting="safe")
                    for name in arrays.files
                    if name.startswith("p.")
                },
            )
    except Exception as e:  # zipfile, zlib and numpy have errors of their own, and many
        raise AdaptationError(f"{path}: is damaged ({e}): the warm-up begins anew") from e
