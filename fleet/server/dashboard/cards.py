"""What a bundle says of itself, for its release's page: facts of its manifest, and its model card."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from edge_agent.bundle import archive

_CARD = "model_card.md"
_LONGEST = 256 * 1024  # bytes of a card that are shown


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """Of a bundle.

    Attributes:
        targets: profiles that it was checked against.
        licence: of the model.
        lineage: digest of what led to it, by which ``python -m pipeline lineage`` finds its run.
        digest: SHA-256 of the bundle.
        text: the model card as HTML; empty if it holds none.
    """

    targets: tuple[str, ...]
    licence: str
    lineage: str
    digest: str
    text: Markup


def read_card(bundle: Path) -> Card | None:
    """The card of the bundle at this path; None if it cannot be read there."""
    try:
        opened = archive.read(bundle)
    except (archive.BundleError, OSError):
        return None
    manifest = opened.manifest
    written = opened.files.get(_CARD, b"")[:_LONGEST].decode("utf-8", "replace")
    return Card(
        targets=manifest.targets,
        licence=manifest.licence,
        lineage=manifest.lineage,
        digest=opened.digest,
        text=_html(written),
    )


def _html(markdown: str) -> Markup:
    """Markdown as HTML; HTML within is shown as it is written, no picture loads, headings go down by two."""
    parser = _parser()
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


@functools.cache
def _parser() -> MarkdownIt:
    # This preset turns HTML off; links with a scheme that runs something are never links.
    return MarkdownIt("js-default").disable(["image", "linkify"])
