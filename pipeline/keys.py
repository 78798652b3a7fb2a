"""Digests: of an artifact's content, of this repository's code, of an execution (its cache key)."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path

from components.base import Component, deciding

_DECIDING_PACKAGES = (
    "tensorflow",
    "tf-keras",
    "tensorflow-model-optimization",
    "tflite-runtime",
    "ai-edge-litert",
    "tflite-micro",
    "ethos-u-vela",
    "apache-beam",
    "numpy",
    "soxr",
    "soundfile",
    "pymicro-features",
    "espeakng-loader",
    "tuf",
)
_CODE_HOUSES = ("components", "edge_agent")


@functools.cache
def environment() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a run gives."""
    versions = {name: importlib.metadata.version(name) for name in _DECIDING_PACKAGES}
    return {"python": platform.python_version(), **versions}


def folder_digest(folder: Path) -> str:
    """SHA-256 over the relative paths and contents of all files below `folder`, hex.

    A folder ``logs`` at its top does not count: it is for people, and holds times of day.
    """
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.relative_to(folder).parts[0] == "logs":
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + content.digest())
    return total.hexdigest()


@functools.cache
def code_digest() -> str:
    """SHA-256 over the sources of the houses whose code decides an artifact's content, hex."""
    top = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for house in _CODE_HOUSES:
        for path in sorted((top / house).rglob("*")):
            if "build" in path.relative_to(top).parts:
                continue  # what `pip install ./edge_agent` leaves behind
            if path.suffix in (".py", ".toml", ".txt") and path.is_file():
                total.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def cache_key(component: Component, input_digests: Mapping[str, str]) -> str:
    """Digest of all that decides an execution's outputs, hex.

    Component type, parameters, input digests, code, and the versions of the deciding packages.
    """
    content = {
        "component": type(component).__name__,
        "parameters": deciding(component.parameters),
        "inputs": dict(input_digests),
        "code": code_digest(),
        "environment": environment(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
