"""Model cards: the bundles that have one, and one card."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from components.artifacts import BUNDLE
from pipeline.web.files import below
from pipeline.web.model_cards import BUNDLE_FILE, read_card, to_html
from pipeline.web.pages.artifacts import is_there
from pipeline.web.queries.artifacts import find_artifact, list_artifacts
from pipeline.web.site import Site, number_in_path, window_asked


def cards_page(site: Site, request: Request) -> Response:
    """The bundles, newest first."""
    with site.store.session() as session:
        page = list_artifacts(session, window_asked(request), BUNDLE.name)
    there = {item.artifact.id: is_there(item.artifact) for item in page.items}
    return site.page("cards.html.j2", page=page, there=there)


def card_page(site: Site, request: Request) -> Response:
    """The model card in one bundle."""
    id_ = number_in_path(request)
    with site.store.session() as session:
        artifact = find_artifact(session, id_)
    if artifact is None or artifact.type != BUNDLE.name:
        raise HTTPException(404, f"There is no bundle {id_}.")
    path = below(site.root, Path(artifact.uri) / BUNDLE_FILE)
    if path is None:
        raise HTTPException(
            404, f"The folder of bundle {id_} was removed, and its model card with it."
        )
    try:
        card = read_card(path)
    except ValueError as e:
        raise HTTPException(404, f"Bundle {id_} cannot show its model card: {e}") from e
    return site.page("card.html.j2", artifact=artifact, card=to_html(card))
