"""JSON schemas (draft 2020-12) of what the server takes and gives, as OpenAPI wants them."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
TEXT: Schema = {"type": "string"}
MOMENT: Schema = {"type": "number", "description": "seconds since 1970, UTC"}
TEXTS: Schema = {"type": "array", "items": TEXT}
TEXT_BY_NAME: Schema = {"type": "object", "additionalProperties": TEXT}


def thing(**properties: Schema) -> Schema:
    """An object that has all of these properties, and may have more."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def optional(schema: Schema, **properties: Schema) -> Schema:
    """The object that `schema` describes, with properties that it need not have."""
    return {**schema, "properties": {**schema.get("properties", {}), **properties}}


def listed(item: Schema, most: int | None = None) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": item} | ({} if most is None else {"maxItems": most})


def maybe(schema: Schema) -> Schema:
    """Such a value, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def between(least: float, most: float) -> Schema:
    """A whole number within these bounds, both allowed."""
    return {"type": "integer", "minimum": least, "maximum": most}


def of_dataclass(kind: type[Any]) -> Schema:
    """The object with the fields of a frozen dataclass, and no others.

    Its bounds are not told: they are the class's own to check.
    """
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    missing = dataclasses.MISSING
    needed = [f.name for f in fields if f.default is missing and f.default_factory is missing]
    return {
        "type": "object",
        "properties": {field.name: _of_type(hints[field.name]) for field in fields},
        "required": needed,
        "additionalProperties": False,
    }


_SCALARS: Mapping[Any, Schema] = {str: TEXT, int: INTEGER, float: NUMBER, bool: BOOLEAN}


def _of_type(hint: Any) -> Schema:
    if dataclasses.is_dataclass(hint):
        return of_dataclass(typing.cast("type[Any]", hint))
    if typing.get_origin(hint) is tuple:
        return listed(_of_type(typing.get_args(hint)[0]))
    if isinstance(hint, types.UnionType):
        (inner,) = (each for each in typing.get_args(hint) if each is not type(None))
        return maybe(_of_type(inner))
    return _SCALARS[hint]
