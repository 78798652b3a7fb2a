"""HTTP's conditional and range requests (RFC 9110, sections 13 and 14), for one file with a strong ETag."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Part:
    """What to answer: an HTTP status, and the bytes from `first` up to before `end`."""

    status: int
    first: int = 0
    end: int = 0


def choose_part(headers: Mapping[str, str], etag: str, size: int, method: str = "GET") -> Part:
    """What a request with these headers (in small letters) is answered.

    A list of several ranges is answered with the whole file, as section 14.2 allows.

    Args:
        headers: of the request.
        etag: of the file, with its quotation marks.
        size: of the file, in bytes.
        method: of the request; for others than GET ranges are not defined (section 14.2).
    """
    if (wanted := headers.get("if-match")) is not None and not {"*", etag} & _tags(wanted):
        return Part(412)
    if (known := headers.get("if-none-match")) is not None and (
        {"*", etag} & {tag.removeprefix("W/") for tag in _tags(known)}
    ):
        return Part(304)
    whole = Part(200, 0, size)
    asked = headers.get("range")
    if method != "GET" or asked is None or headers.get("if-range", etag).strip() != etag:
        return whole
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return whole
    first, last = match.groups()
    if not first:  # the last so many bytes
        count = min(int(last), size)
        return Part(206, size - count, size) if count else Part(416)
    if last and int(last) < int(first):
        return whole
    if int(first) >= size:
        return Part(416)
    return Part(206, int(first), min(int(last) + 1, size) if last else size)


def _tags(listed: str) -> set[str]:
    return {tag.strip() for tag in listed.split(",")}
