"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response


class Problem(Exception):
    """Answers a request with an error.

    Args:
        status: the HTTP status.
        detail: what is wrong, and the next step.
        headers: to send along.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        return Response(
            json.dumps(body), self.status, self.headers, media_type="application/problem+json"
        )


def unauthorized(detail: str) -> Problem:
    """401: no token, or none that counts."""
    return Problem(401, detail, {"WWW-Authenticate": "Bearer"})


def unreachable() -> Problem:
    """503: the database or the object store is away. Where they are is nothing to tell whoever asks."""
    return Problem(
        503,
        "the database or the object store cannot be reached just now; our log tells which",
        {"Retry-After": "5"},
    )


def not_found(detail: str = "there is nothing at this address") -> Problem:
    """404."""
    return Problem(404, detail)
