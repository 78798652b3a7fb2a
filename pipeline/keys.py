"""The cache key of an execution: the digest of all that decides what it makes."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping
from typing import Any

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
    "pillow",
    "scikit-learn",
    "pymicro-features",
    "espeakng-loader",
    "tuf",
)


@functools.cache
def environment() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a run gives."""
    versions = {name: importlib.metadata.version(name) for name in _DECIDING_PACKAGES}
    return {"python": platform.python_version(), **versions}


def key_parts(component: Component, input_digests: Mapping[str, str], code: str) -> dict[str, Any]:
    """What decides the outputs of an execution, part by part, as JSON holds it.

    Args:
        component: its type, its parameters and the files that they name count, its id does not.
        input_digests: of the content of each input, by name.
        code: digest of its code; see `pipeline.code_digest`.

    Returns:
        ``type``, ``parameters``, ``inputs``, ``code`` and ``environment``.
    """
    parts = {
        "type": type(component).__name__,
        "parameters": {**deciding(component.parameters), **component.named_files()},
        "inputs": dict(input_digests),
        "code": code,
        "environment": environment(),
    }
    whole: dict[str, Any] = json.loads(json.dumps(parts))
    return whole


def cache_key(parts: Mapping[str, Any]) -> str:
    """The digest of `key_parts`, hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
