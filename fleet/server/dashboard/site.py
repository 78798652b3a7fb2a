"""What the pages share: who is looking, at which tenant, and how a page is made.

Somebody logs in with their token, which the browser then keeps in a cookie that no script and no other
site can use. Pages run no script at all, and what devices say is escaped.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from fleet.control.tenants import Identity
from fleet.server.access import find_operator, refuse
from fleet.server.bodies import read_body
from fleet.server.fleet_state import FleetState
from fleet.server.problems import Problem, not_found

COOKIE = "fleet_operator"
REFRESH_S = 5
_MOST_FORM = 64 * 1024
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Visit:
    """A request for a page by somebody who logged in.

    Attributes:
        state: of the server.
        request: the request.
        who: looks.
        tenant: the row of the tenant that is looked at.
    """

    def __init__(self, state: FleetState, request: Request, who: Identity, tenant: Any) -> None:
        self.state = state
        self.request = request
        self.who = who
        self.tenant = tenant

    def page(self, template: str, title: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page that `template` makes of `values`."""
        names = [t.name for t in self.state.tenants.values() if self.who.tenant in (None, t.id)]
        return render(
            template, title, status,
            who=self.who, tenant=self.tenant.name, tenants=sorted(names),
            may_steer=self.who.may("operator"), now=self.state.clock(), **values,
        )  # fmt: skip

    def address(self, path: str) -> str:
        """The address of a page of this tenant."""
        return f"{path}?tenant={quote(self.tenant.name)}"

    def asked(self, name: str) -> str:
        """What the query string gives as `name`."""
        return self.request.query_params.get(name, "").replace("\0", "")[:256]


async def visit(state: FleetState, request: Request) -> Visit | None:
    """Who visits which tenant; None if they have to log in first.

    Raises:
        Problem: 404 if there is no such tenant for them, 429 if they come or failed to log in too often.
    """
    token = request.cookies.get(COOKIE, "")
    who = await find_operator(state, request.scope, token)
    if who is None:
        if token:
            refuse(state, request.scope)
        return None
    seen = {t.name: t for t in state.tenants.values() if who.tenant in (None, t.id)}
    name = request.query_params.get(
        "tenant", "default" if "default" in seen else min(seen, default="")
    )
    if name not in seen:
        raise not_found("there is no such tenant")
    return Visit(state, request, who, seen[name])


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that one of our own pages sent.

    Raises:
        Problem: 403 if another site sent it, 408, 413 or 400 if it does not come, is too long, or none.
    """
    origin = request.headers.get("origin")
    if origin not in (None, "null") and not _is_ours(origin, request.headers.get("host", "")):
        raise Problem(403, "the form was sent from another site")
    body = await read_body(request, _MOST_FORM)
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=bool(body))
    except ValueError:
        raise Problem(400, "this is no form") from None
    return {name: values[-1].replace("\0", "") for name, values in fields.items()}


def _is_ours(origin: str, host: str) -> bool:
    """Whether the origin that a browser tells is the host that it asked; default ports may be left out."""
    try:
        theirs, ours = urlsplit(origin), urlsplit(f"//{host}")
        ports = [each.port if each.port not in (80, 443) else None for each in (theirs, ours)]
    except ValueError:
        return False
    return theirs.hostname is not None and (theirs.hostname, ports[0]) == (ours.hostname, ports[1])


def render(template: str, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page that `template` makes of `values`."""
    text = _environment().get_template(template).render(title=title, **{"refresh": None} | values)
    return HTMLResponse(text, status, _HEADERS)


def style_sheet() -> str:
    """The style sheet of all pages."""
    return (Path(__file__).parent / "templates" / "page.css").read_text()


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(moment=_moment, part=_part, line=_line)
    return environment


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M:%S}"


def _line(values: Sequence[int], most: int) -> str:
    """Points of a polyline in a drawing of 590 by 130."""
    return " ".join(f"{10 * x},{125 - 120 * value / most:.1f}" for x, value in enumerate(values))


def _part(count: int, of: int) -> str:
    """A share as a number of percent, for a bar."""
    return f"{100 * count / of:.2f}" if of else "0"
