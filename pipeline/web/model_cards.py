"""Model cards: out of a bundle, and from Markdown to HTML that can do no harm."""

from __future__ import annotations

import functools
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from components.packager.model_card import FILE_NAME

BUNDLE_FILE = "candidate.bundle"
_LONGEST = 256 * 1024


def read_card(bundle: Path) -> str:
    """The model card in a bundle, Markdown.

    Raises:
        ValueError: if the bundle cannot be read or holds none; the message is for people.
    """
    from edge_agent.bundle import archive

    try:
        files = archive.read(bundle).files
    except (archive.BundleError, OSError) as e:
        raise ValueError(f"the bundle cannot be read: {e}") from e
    if FILE_NAME not in files:
        raise ValueError("the bundle holds no model card")
    return files[FILE_NAME][:_LONGEST].decode("utf-8", "replace")


def to_html(markdown: str) -> Markup:
    """Headings, text, lists and tables as HTML; HTML within is shown as it is written, and no picture loads.

    Headings go down by one: the page has its own above them.
    """
    parser = _parser()
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


@functools.cache
def _parser() -> MarkdownIt:
    # This preset turns HTML off; links with a scheme that runs something are never links.
    return MarkdownIt("js-default").disable(["image", "linkify"])
