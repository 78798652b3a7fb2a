"""From schema 1, which had no version, to 2: cache hits, and what lies in artifacts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = None


def upgrade() -> None:
    """Adds columns and tables; no row of schema 1 is touched."""
    op.add_column("context", sa.Column("root", sa.String, nullable=False, server_default=""))
    op.add_column("artifact", sa.Column("removed", sa.DateTime))
    op.add_column(
        "execution",
        sa.Column("key_parts", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
    )
    # Alembic adds no foreign key to a table of SQLite, though SQLite can.
    op.execute("ALTER TABLE execution ADD COLUMN original_id INTEGER REFERENCES execution (id)")
    op.create_index("execution_by_component", "execution", ["component", "context_id"])
    op.create_table(
        "payload",
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("digest", sa.String, nullable=False, index=True),
    )
    op.create_table(
        "release",
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False, index=True),
    )
    op.create_table(
        "shard",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("recordings", sa.Integer, nullable=False),
    )
    op.create_table(
        "artifact_shard",
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), primary_key=True),
        sa.Column("file", sa.String, primary_key=True),
        sa.Column("shard_id", sa.Integer, sa.ForeignKey("shard.id"), nullable=False, index=True),
    )
    op.create_table(
        "recording",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False, index=True),
        sa.Column("label", sa.String, nullable=False),
        sa.Column("speaker", sa.String, nullable=False, index=True),
        sa.UniqueConstraint("digest", "path", "label", "speaker"),
    )
    op.create_table(
        "shard_recording",
        sa.Column("shard_id", sa.Integer, sa.ForeignKey("shard.id"), primary_key=True),
        sa.Column(
            "recording_id",
            sa.Integer,
            sa.ForeignKey("recording.id"),
            primary_key=True,
            index=True,
        ),
        sqlite_with_rowid=False,
    )
