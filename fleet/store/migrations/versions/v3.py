"""Schema 3: last polls in a table of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Moves them there."""
    op.create_table(
        "last_poll",
        sa.Column("device_id", sa.Integer, sa.ForeignKey("device.id"), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.execute(
        "INSERT INTO last_poll (device_id, at) "
        "SELECT id, seen FROM device WHERE seen IS NOT NULL ORDER BY id"
    )
    op.drop_column("device", "seen")
