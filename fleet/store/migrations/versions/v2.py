"""Schema 2: what devices tell of their work, and how a rollout judged them by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Adds both tables."""
    op.create_table(
        "telemetry",
        sa.Column("device_id", sa.Integer, sa.ForeignKey("device.id"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
        sa.Column("totals", sa.JSON, nullable=False),
    )
    op.create_table(
        "sample",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("rollout_id", sa.Integer, sa.ForeignKey("rollout.id"), nullable=False),
        sa.Column("device_id", sa.Integer, sa.ForeignKey("device.id"), nullable=False),
        sa.Column("arm", sa.String, nullable=False),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("base", sa.JSON, nullable=False),
        sa.Column("judged", sa.Float),
        sa.Column("change", sa.Boolean),
        sa.Column("values", sa.JSON),
        sa.Column("slices", sa.JSON),
        sa.UniqueConstraint("rollout_id", "device_id"),
    )
    op.create_index("sample_by_moment", "sample", ["rollout_id", "arm", "judged", "id"])
