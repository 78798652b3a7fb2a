"""The generated Python classes of TFLite's flatbuffer schema, without any native library.

``ai_edge_litert`` ships them, but importing that package loads its runtime into the process with
global symbols, beside which TensorFlow and tflite-runtime must then live. So the one generated file
is loaded on its own.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

_PACKAGE = "ai_edge_litert"


@functools.cache
def schema() -> Any:
    """The module of generated classes (``Model``, ``ModelT``, ``BuiltinOperator``...)."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise ModuleNotFoundError(f"{_PACKAGE} is not installed", name=_PACKAGE)
    file = Path(package.origin).with_name("schema_py_generated.py")
    spec = importlib.util.spec_from_file_location("_tflite_schema", file)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{file} cannot be loaded", name=_PACKAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def operator_names() -> dict[int, str]:
    """Builtin operator code to its name, e.g. 3 to ``CONV_2D``."""
    return {code: name for name, code in _constants(schema().BuiltinOperator)}


@functools.cache
def dtype_names() -> dict[int, str]:
    """Tensor type code to its name in lower case, e.g. 9 to ``int8``."""
    return {code: name.lower() for name, code in _constants(schema().TensorType)}


def _constants(enumeration: Any) -> list[tuple[str, int]]:
    return [(n, c) for n, c in vars(enumeration).items() if n.isupper() and isinstance(c, int)]
