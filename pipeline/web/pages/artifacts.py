"""The list of artifacts, and the page of one with its lineage."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from components.artifacts import BUNDLE
from pipeline.web.files import Entry, Excerpt, beginning, below, entries
from pipeline.web.graph_drawing import Box, draw_graph
from pipeline.web.queries.ancestry import Walk, ancestors, descendants
from pipeline.web.queries.artifacts import (
    MOST_USES,
    Stored,
    find_artifact,
    first_makers,
    known_types,
    list_artifacts,
    uses_of,
)
from pipeline.web.site import Site, number_in_path, window_asked, word_asked

_DIGEST = re.compile(r"[0-9a-f]{4,64}")
_MOST_DRAWN = 60
_MOST_FILES = 6


def artifacts_page(site: Site, request: Request) -> Response:
    """All artifacts, newest first."""
    type_, digest = word_asked(request, "type"), word_asked(request, "digest")
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise HTTPException(
            400, "A digest begins with at least four hex digits, 0 to 9 and a to f."
        )
    with site.store.session() as session:
        page = list_artifacts(session, window_asked(request), type_, digest)
        types = known_types(session)
    return site.page(
        "artifacts.html.j2",
        page=page,
        there={item.artifact.id: is_there(item.artifact) for item in page.items},
        types=types,
        chosen={"type": type_, "digest": digest},
    )


def artifact_page(site: Site, request: Request) -> Response:
    """One artifact: its folder, who made and took it, what it came from and went into."""
    id_ = number_in_path(request)
    with site.store.session() as session:
        artifact = find_artifact(session, id_)
        if artifact is None:
            raise HTTPException(404, f"There is no artifact {id_}.")
        makers, takers = uses_of(session, id_, "output"), uses_of(session, id_, "input")
        up, down = ancestors(session, id_), descendants(session, id_)
        found = [a.id for walk in (up, down) for _, a in walk.found]
        first = first_makers(session, [id_, *found])
    folder = below(site.root, Path(artifact.uri))
    listing, more = ([], False) if folder is None else entries(folder)
    return site.page(
        "artifact.html.j2",
        artifact=artifact,
        there=is_there(artifact),
        inside=folder is not None,
        makers=makers[:MOST_USES],
        more_makers=len(makers) > MOST_USES,
        takers=takers[:MOST_USES],
        more_takers=len(takers) > MOST_USES,
        up=up,
        down=down,
        first=first,
        graph=_graph(artifact, up, down),
        entries=listing,
        more_entries=more,
        texts=[] if folder is None else _texts(folder, listing),
        has_card=artifact.type == BUNDLE.name,
    )


def is_there(artifact: Stored) -> bool:
    """Whether the artifact's folder is there."""
    try:
        return Path(artifact.uri).is_dir()
    except (OSError, ValueError):
        return False


def _graph(artifact: Stored, up: Walk, down: Walk) -> Markup | None:
    """The artifact with what it came from above it and what it went into below it."""
    near = {a.id: a for walk in (up, down) for _, a in walk.found}
    if not near or len(near) > _MOST_DRAWN:
        return None
    # In the order in which they were recorded nothing leads back: what is taken was there before.
    boxes = [
        Box(
            key=str(a.id),
            name=a.type,
            note=f"#{a.id} · {a.digest[:10]}",
            look="here" if a.id == artifact.id else "artifact",
            link=f"/artifacts/{a.id}",
        )
        for _, a in sorted({**near, artifact.id: artifact}.items())
    ]
    edges = {(str(a), str(b)) for walk in (up, down) for a, b in walk.edges if a < b}
    return draw_graph("The lineage of the artifact", boxes, edges)


def _texts(folder: Path, listing: list[Entry]) -> list[tuple[str, Excerpt]]:
    """The JSON files in an artifact's folder, each in part where it is long."""
    names = [entry.name for entry in listing if entry.name.endswith(".json") and entry.bytes]
    found = [(name, beginning(folder / name)) for name in names[:_MOST_FILES]]
    return [(name, excerpt) for name, excerpt in found if excerpt is not None]
