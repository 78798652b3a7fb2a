"""Reading what clients send: bounded, and never trusted."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from fleet.control.telemetry import Told
from fleet.rollout.action import Report
from fleet.rollout.quality import Totals
from fleet.server.problems import Problem

DEVICE_BYTES = 256 * 1024
OPERATOR_BYTES = 2 * 1024 * 1024
PATIENCE_S = 60.0
MAX_DETAILS = 50
MAX_DETAIL = 512
MOST_TOLD = 1e12
COUNTS = frozenset({"triggers", "anomalies", "crashes", "inferences", "scores"})
EXECUTIONS = frozenset(
    {
        "closed",
        "proceeding",
        "canceled",
        "scheduled",
        "rejected",
        "resumed",
        "download",
        "downloaded",
    }
)
FINISHED = frozenset({"success", "failure", "none"})


async def read_json(request: Request, most: int) -> dict[str, Any]:
    """The JSON object in the body.

    Args:
        request: whose body.
        most: bytes that it may have.

    Raises:
        Problem: 413 if it is longer, 408 if it does not come, 400 if it is no JSON object.
    """
    return parse_object(await read_body(request, most))


async def read_body(request: Request, most: int) -> bytes:
    """The body.

    Args:
        request: whose body.
        most: bytes that it may have.

    Raises:
        Problem: 413 if it is longer, 408 if it is not whole within `PATIENCE_S`, 400 if the client goes away.
    """
    body = bytearray()
    await receive(request, most, PATIENCE_S, body.extend)
    return bytes(body)


async def receive(
    request: Request, most: int, patience_s: float, take: Callable[[bytes], object]
) -> None:
    """Gives the body to `take`, piece by piece.

    Args:
        request: whose body.
        most: bytes that it may have.
        patience_s: seconds in which it must come.
        take: is given each piece.

    Raises:
        Problem: 413 if it is longer, 408 if it is not whole in time, 400 if the client goes away.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length[:20]) > most:
        raise Problem(413, f"the body may have {most} bytes")
    came = 0
    try:
        async with asyncio.timeout(patience_s):
            async for chunk in request.stream():
                came += len(chunk)
                if came > most:
                    raise Problem(413, f"the body may have {most} bytes")
                take(chunk)
    except TimeoutError:
        close = {"Connection": "close"}  # what is still to come is no request
        raise Problem(408, f"the body did not come within {patience_s:g} s", close) from None
    except ClientDisconnect:
        raise Problem(400, "the client went away") from None


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object that `body` is.

    Raises:
        Problem: 400 if it is none.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise Problem(400, "the body is not a JSON object")
    return value


def parse_feedback(body: Mapping[str, Any]) -> tuple[Report, int | None, list[str]]:
    """What a device says of an action: its report, code and details. Keys that are unknown are passed over.

    Raises:
        Problem: 400 if it says nothing that can be understood.
    """
    status = body.get("status")
    if not isinstance(status, dict):
        raise Problem(400, "status: give an object")
    execution = status.get("execution")
    if not isinstance(execution, str) or execution.lower() not in EXECUTIONS:
        raise Problem(400, f"status.execution: give one of {', '.join(sorted(EXECUTIONS))}")
    result = status.get("result")
    finished = result.get("finished", "none") if isinstance(result, dict) else "none"
    if not isinstance(finished, str) or finished.lower() not in FINISHED:
        raise Problem(400, "status.result.finished: give success, failure or none")
    said = Report(execution=execution.lower(), finished=finished.lower())
    return said, parse_code(status.get("code")), parse_details(status.get("details"))


def parse_code(code: Any) -> int | None:
    """A device's own code, if it gave one that can be kept."""
    code = _whole(code)
    return code if type(code) is int and -(2**31) <= code < 2**31 else None


def parse_details(details: Any) -> list[str]:
    """What a device says in words: the last `MAX_DETAILS` messages, each cut to `MAX_DETAIL` characters."""
    if isinstance(details, str):
        details = [details]
    if not isinstance(details, Sequence):
        return []
    texts = [
        _printable(text)[:MAX_DETAIL] for text in details[-MAX_DETAILS:] if isinstance(text, str)
    ]
    return texts


def parse_attributes(body: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Attributes and mode of configData; values that are no text are written as JSON.

    Raises:
        Problem: 400 if there are none, or the mode is unknown.
    """
    data, mode = body.get("data"), body.get("mode", "merge")
    if not isinstance(data, dict):
        raise Problem(400, "data: give an object of texts")
    if not isinstance(mode, str) or mode.lower() not in ("merge", "replace", "remove"):
        raise Problem(400, "mode: give merge, replace or remove")
    given = {
        _printable(name): _printable(value if isinstance(value, str) else json.dumps(value))
        for name, value in data.items()
    }
    return given, mode.lower()


def parse_telemetry(body: Mapping[str, Any]) -> Told:
    """What a device did since its last report. Keys that are unknown are passed over.

    Raises:
        Problem: 400 if something is missing, or no number within its bounds.
    """
    release = body.get("release")
    names = [release.get(key) if isinstance(release, dict) else None for key in ("name", "version")]
    if not all(isinstance(name, str) and 0 < len(name) <= 100 for name in names):
        raise Problem(400, 'release: give {"name": ..., "version": ...}')
    sequence: Any = _whole(body.get("sequence"))
    if type(sequence) is not int or not 0 <= sequence < 2**62:
        raise Problem(400, "sequence: give a whole number that rises from report to report")
    given: dict[str, Any] = {}
    for field in dataclasses.fields(Totals):
        value = body.get(field.name)
        if value is None and field.name != "hours":
            continue
        if field.name in COUNTS:
            value = _whole(value)
        kinds = (int,) if field.name in COUNTS else (int, float)
        if type(value) not in kinds or not 0 <= value <= MOST_TOLD:  # type: ignore[operator]
            raise Problem(400, f"{field.name}: give a number of 0 to {MOST_TOLD:g}")
        given[field.name] = value
    if given["hours"] <= 0 or given.get("score_sum", 0) > given.get("scores", 0):
        raise Problem(400, "hours: must be above 0, and score_sum at most scores")
    name, version = (_printable(str(text)) for text in names)
    return Told(name=name, version=version, sequence=sequence, totals=Totals(**given))


def _whole(number: Any) -> Any:
    """`number` as an integer if it is whole: some languages write 7 as 7.0, and JSON makes no difference."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _printable(text: str) -> str:
    """`text` without NUL, which PostgreSQL takes in no text."""
    return text.replace("\0", "")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
