"""Typed decoding of foreign JSON and TOML into frozen dataclasses, with errors that name the place.

Unknown keys are ignored, so that a newer writer's minor additions are read by an older agent; a
wrong type, a missing key or a non-finite number is an error. `encode` is the way back.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# Metadata of a field that is left out where it is None: what does not use it is written as before it
# was added, to the same bytes.
ADDED: Mapping[str, Any] = types.MappingProxyType({"left_out_where_none": True})


def encode(value: Any) -> Any:
    """What `decode` takes, of dataclasses, tuples, tables and scalars: ready for JSON."""
    if dataclasses.is_dataclass(value):
        fields = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {
            field.name: encode(part)
            for field, part in fields.items()
            if part is not None or not field.metadata.get("left_out_where_none")
        }
    if isinstance(value, tuple | list):
        return [encode(part) for part in value]
    if isinstance(value, dict):
        return {key: encode(part) for key, part in value.items()}
    return value


class DecodeError(ValueError):
    """A value does not have the declared type; the message says where and what was expected."""


def decode(type_: type[T], value: Any, where: str = "") -> T:
    """Turns parsed JSON or TOML into `type_`.

    Supports dataclasses, int, float, str, bool, ``X | None``, Literal, ``tuple[X, ...]`` and
    ``dict[str, X]``.

    Raises:
        DecodeError: naming the place in dotted form, e.g. ``stages[0].model``.
    """
    return typing.cast(T, _decode(type_, value, where))


def _decode(type_: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(type_)
    if dataclasses.is_dataclass(type_):
        return _dataclass(type_, value, where)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        (inner,) = (a for a in typing.get_args(type_) if a is not type(None))
        return _decode(inner, value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(type_) or isinstance(value, bool):
            raise DecodeError(f"{where}: {_short(value)} is not one of {typing.get_args(type_)}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise DecodeError(f"{where}: expected a list, found {_short(value)}")
        inner = typing.get_args(type_)[0]
        return tuple(_decode(inner, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        inner = typing.get_args(type_)[1]
        return {k: _decode(inner, v, f"{where}.{k}") for k, v in _table(value, where).items()}
    return _scalar(type_, value, where)


def _dataclass(type_: Any, value: Any, where: str) -> Any:
    table = _table(value, where)
    hints = typing.get_type_hints(type_)
    arguments = {}
    for field in dataclasses.fields(type_):
        place = f"{where}.{field.name}" if where else field.name
        if field.name in table:
            arguments[field.name] = _decode(hints[field.name], table[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise DecodeError(f"{place}: is missing")
    try:
        return type_(**arguments)
    except DecodeError:
        raise
    except ValueError as e:
        raise DecodeError(f"{where}: {e}") from e


def _scalar(type_: Any, value: Any, where: str) -> Any:
    if type_ is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > 2**53:
            raise DecodeError(f"{where}: {_short(value)} is too large")
        return float(value)
    if type(value) is not type_:
        raise DecodeError(f"{where}: expected {type_.__name__}, found {_short(value)}")
    if type_ is float and not math.isfinite(value):
        raise DecodeError(f"{where}: is not a finite number")
    if type_ is int and abs(value) > 2**53:
        raise DecodeError(f"{where}: {_short(value)} is too large")
    return value


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodeError(f"{where or 'top level'}: expected a table, found {_short(value)}")
    return value


def _short(value: Any) -> str:
    if isinstance(value, int) and abs(value) > 10**30:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
