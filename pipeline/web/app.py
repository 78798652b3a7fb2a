"""The pages put together: which address shows what, and what is shown when something is wrong."""

from __future__ import annotations

import functools
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from components.base import UserError
from pipeline.web.guard import Guard
from pipeline.web.pages.artifacts import artifact_page, artifacts_page
from pipeline.web.pages.cards import card_page, cards_page
from pipeline.web.pages.executions import execution_page
from pipeline.web.pages.metrics import metrics_page
from pipeline.web.pages.runs import report_page, run_page, runs_page
from pipeline.web.reading import ReadOnlyStore
from pipeline.web.site import Site, style_sheet

_PAGES = {
    "/": runs_page,
    "/runs/{id}": run_page,
    "/runs/{id}/report": report_page,
    "/executions/{id}": execution_page,
    "/metrics": metrics_page,
    "/artifacts": artifacts_page,
    "/artifacts/{id}": artifact_page,
    "/artifacts/{id}/card": card_page,
    "/cards": cards_page,
}
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="none" '
    'stroke="#2f5fd0" stroke-width="2" d="M8 4v3M8 7 4 11M8 7l4 4"/><g fill="#2f5fd0">'
    '<circle cx="8" cy="3" r="2.4"/><circle cx="3.5" cy="12.5" r="2.4"/>'
    '<circle cx="12.5" cy="12.5" r="2.4"/></g></svg>'
)


def make_app(root: Path, store: ReadOnlyStore, host: str = "localhost") -> Starlette:
    """The application; all it answers is GET and HEAD.

    Args:
        root: folder that the runs wrote below.
        store: its lineage.
        host: the name or address that the server listens on.
    """
    site = Site(root, store)
    routes = [
        Route(path, functools.partial(page, site), methods=["GET"]) for path, page in _PAGES.items()
    ]
    routes += [
        Route("/page.css", _style, methods=["GET"]),
        Route("/icon.svg", _icon, methods=["GET"]),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={
            HTTPException: functools.partial(_refused, site),
            UserError: functools.partial(_unreadable, site),
        },
    )


def _style(_request: Request) -> Response:
    return Response(style_sheet(), media_type="text/css")


def _icon(_request: Request) -> Response:
    return Response(_ICON, media_type="image/svg+xml")


def _refused(site: Site, _request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    said = error.detail if error.detail != title else "There is no such page."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        said = "These pages are read only."
    response = site.page("error.html.j2", error.status_code, title=title, message=said)
    response.headers.update(error.headers or {})
    return response


def _unreadable(site: Site, _request: Request, error: Exception) -> Response:
    said = f"The lineage store cannot be read just now. {error}"
    return site.page("error.html.j2", 503, title="Service Unavailable", message=said)
