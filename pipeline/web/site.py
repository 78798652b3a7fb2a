"""What every page needs: the store, the root, the templates, and how a question is read."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from pipeline.ui.figures import size, words
from pipeline.web import figures
from pipeline.web.queries.paging import Window
from pipeline.web.reading import ReadOnlyStore

TEMPLATES = (
    Path(__file__).parent / "templates",
    Path(__file__).parents[1] / "ui",  # the colours
)
REFRESH_SECONDS = 5
_HIGHEST = 2**31 - 1  # the keys are 32 bits wide in PostgreSQL
_LONGEST_WORD = 200
_NUMBER = re.compile(r"[0-9]{1,10}")


class Site:
    """The pages' common ground.

    Args:
        root: folder that the runs wrote below.
        store: its lineage.
    """

    def __init__(self, root: Path, store: ReadOnlyStore) -> None:
        self.root = root
        self.store = store

    def page(
        self, template: str, status: int = 200, *, refreshes: bool = False, **values: Any
    ) -> HTMLResponse:
        """The page that `template` makes of `values`; one that `refreshes` loads itself anew."""
        text = (
            _environment()
            .get_template(template)
            .render(root=str(self.root), refresh=REFRESH_SECONDS if refreshes else None, **values)
        )
        return HTMLResponse(text, status)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=lambda value, name: figures.figure(name, value),
        metric_title=figures.metric_title,
        took=figures.took,
        moment=figures.moment,
        state_text=figures.state_text,
        size=size,
        words=words,
        asked=_query,
    )
    return environment


def style_sheet() -> str:
    """The style sheet of all pages."""
    return _environment().get_template("page.css.j2").render()


def number_in_path(request: Request) -> int:
    """The number in the path.

    Raises:
        HTTPException: 404 if it is none that a row can have.
    """
    number = _number(request.path_params["id"])
    if number is None:
        raise HTTPException(404, "There is nothing with such a number.")
    return number


def number_asked(request: Request, name: str) -> int | None:
    """The number that the query string gives as `name`, if it does.

    Raises:
        HTTPException: 400 if it is none.
    """
    text = request.query_params.get(name, "")
    if not text:
        return None
    number = _number(text)
    if number is None:
        raise HTTPException(400, f"{name} has to be a number.")
    return number


def word_asked(request: Request, name: str) -> str | None:
    """The word that the query string gives as `name`, if it does.

    Raises:
        HTTPException: 400 if it is too long, or holds what no name holds.
    """
    text = request.query_params.get(name, "").strip()
    if len(text) > _LONGEST_WORD or not text.isprintable():
        raise HTTPException(400, f"{name} is no name.")
    return text or None


def window_asked(request: Request) -> Window:
    """The part of a list that the query string asks for."""
    return Window(before=number_asked(request, "before"), after=number_asked(request, "after"))


def _query(values: Mapping[str, Any]) -> str:
    """A query string of what is given of `values`."""
    return urlencode({name: v for name, v in values.items() if v is not None}, doseq=True)


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text)
    return number if number <= _HIGHEST else None
