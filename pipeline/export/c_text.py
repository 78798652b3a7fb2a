"""Values as C source text: identifiers, numbers, strings, arrays. Pure, and safe for hostile values."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

_BYTES_A_LINE = 12
_CODES_A_LINE = 16


def identifier(name: str) -> str:
    """`name` as the beginning of a C identifier: lower case, ASCII, no leading digit."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"m_{plain}".rstrip("_")


def real(value: float) -> str:
    """The float literal nearest to `value`, exact for every float32."""
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if any(mark in text for mark in ".en") else f"{text}.0f"


def string(value: str) -> str:
    """A string literal of the UTF-8 bytes of `value`."""
    plain = [
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in value.encode("utf-8", "replace")
    ]
    return f'"{"".join(plain)}"'


def unsigned_bytes(data: bytes) -> str:
    """The lines between the braces of an array of unsigned char."""
    return _lines((f"0x{byte:02x}" for byte in data), _BYTES_A_LINE)


def codes(values: npt.NDArray[np.int8]) -> str:
    """The lines between the braces of an array of int8_t."""
    return _lines((str(int(value)) for value in values.reshape(-1)), _CODES_A_LINE)


def _lines(items: Iterable[str], a_line: int) -> str:
    listed = list(items)
    rows = (listed[i : i + a_line] for i in range(0, len(listed), a_line))
    return "\n".join("    " + ", ".join(row) + "," for row in rows)
