"""From schema 2 to 3: an artifact is found by its folder without looking through all of them."""

from __future__ import annotations

from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Adds an index."""
    op.create_index("ix_artifact_uri", "artifact", ["uri"])
