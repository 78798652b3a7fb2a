"""The API's description, OpenAPI 3.1, made of what the routes say of themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fleet.server.operations import DEVICE, OPERATOR, Operation
from fleet.server.schemas import INTEGER, TEXT, Schema, one_of, thing

VERBS = ("start", "pause", "resume", "abort")
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
_NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,255}$"}
_PARAMETERS: dict[str, Schema] = {
    "tenant": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
    "controller": _NAME,
    "device": _NAME,
    "rollout": _NUMBER,
    "action": _NUMBER,
    "module": _NUMBER,
    "verb": one_of(*VERBS),
    "file": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}$"},
    "path": {
        "type": "string",
        "pattern": "^(metadata|targets)/[A-Za-z0-9_][A-Za-z0-9_.%+-]{0,199}$",
    },
}
_PROBLEM = "application/problem+json"
_REFUSALS = {
    400: "what was sent cannot be understood",
    401: "no token, or none that counts",
    403: "the operator's role does not reach so far",
    404: "there is no such thing, or not for whoever asks",
    405: "no such method here",
    408: "the body did not come in time",
    409: "it does not go with what is there",
    410: "the action has ended",
    412: "the file has another ETag",
    413: "the body is too long",
    416: "the file has no such bytes",
    429: "too often: come again after `Retry-After` seconds",
    503: "not just now: come again after `Retry-After` seconds",
    507: "the disk has no room for what was sent",
}
_SECURITY: dict[str, Any] = {
    OPERATOR: {
        "type": "http",
        "scheme": "bearer",
        "description": "an operator's token; its role says what it may do",
    },
    DEVICE: {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`TargetToken T` of the device, or `GatewayToken T` of its tenant; a client "
        "certificate does as well where the server asks for one",
    },
}


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document.

    Args:
        operations: all that is served; each path and method once.
    """
    paths: dict[str, Any] = {}
    for each in operations:
        path = _PARAMETER.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fleet",
            "version": "1",
            "description": "Operators' API, hawkBit's Direct Device Integration API v1, and the TUF "
            "repository. Every error is a problem (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "securitySchemes": _SECURITY,
            "schemas": {
                "Problem": thing(type=TEXT, title=TEXT, status=INTEGER, detail=TEXT),
            },
        },
    }


def _operation(each: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]}
        for name in _PARAMETER.findall(each.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in each.query.items()
    ]
    said = f"For {each.role}s: " if each.role else ""
    described: dict[str, Any] = {
        "operationId": _identifier(each),
        "summary": said + each.summary,
        "parameters": parameters,
        "responses": _responses(each),
        "security": [{each.credential: []}] if each.credential else [],
    }
    if each.body is not None:
        content = {each.body_type: {"schema": each.body}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _responses(each: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "done"}
    if each.media_type:
        answer["content"] = {
            each.media_type: {} if each.answer is None else {"schema": each.answer}
        }
    refused = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return (
        {str(status): answer for status in (each.status, *each.others)}
        | {
            str(status): {"description": text, "content": {_PROBLEM: refused}}
            for status, text in _REFUSALS.items()
        }
    )  # fmt: skip


def _identifier(each: Operation) -> str:
    words = re.findall(r"\w+", _PARAMETER.sub(r"by \1", each.path))
    return "_".join([each.method.lower(), *words])
