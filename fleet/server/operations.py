"""What the API's description says of an operation, and the route that carries it.

A route and its description are made of one and the same `Operation`, so neither can be there alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fleet.server.schemas import Schema


class _Number(Convertor[int]):
    """A number in a path, ``{name:number}``: short enough for any database's integers to be asked for it."""

    regex = "[0-9]{1,10}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())

OPERATOR = "operator"
DEVICE = "device"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """One method at one path.

    Attributes:
        method: GET (which answers HEAD too), POST or PUT.
        path: with its parameters in braces.
        summary: what it does, in a line.
        credential: `OPERATOR`, `DEVICE`, or empty where none is needed.
        role: the least role of the operator.
        query: schemas of what the query string may give.
        body: of what the request sends; None if that is nothing.
        body_type: its media type.
        answer: of the JSON that is answered; None if it is no JSON.
        status: of the answer where all went well.
        media_type: of the answer; empty if it has no body.
        others: further statuses of answers that are no problem.
    """

    method: str
    path: str
    summary: str
    credential: str = ""
    role: str = ""
    query: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    body: Schema | None = None
    body_type: str = "application/json"
    answer: Schema | None = None
    status: int = 200
    media_type: str = "application/json"
    others: tuple[int, ...] = ()


class DescribedRoute(Route):
    """A route that says what its methods do."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        operations: Sequence[Operation],
    ) -> None:
        super().__init__(path, endpoint, methods=[each.method for each in operations])
        self.operations = tuple(operations)


def operations(routes: Sequence[Any]) -> list[Operation]:
    """All that these routes describe; pages describe nothing."""
    found: list[Operation] = []
    for route in routes:
        if isinstance(route, DescribedRoute):
            found += route.operations
    return found
