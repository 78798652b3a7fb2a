"""Schema 1: the first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Makes all tables, and the triggers that keep the audit log as it was written."""
    op.create_table(
        "tenant",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("poll_s", sa.Float, nullable=False),
        sa.Column("gateway_hash", sa.String),
        sa.Column("confirmation", sa.Boolean, nullable=False),
    )
    op.create_table(
        "operator",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant_id", sa.Integer, sa.ForeignKey("tenant.id")),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("token_hash", sa.String, nullable=False, unique=True),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("expires", sa.Float),
    )
    op.create_table(
        "release",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant_id", sa.Integer, sa.ForeignKey("tenant.id"), nullable=False),
        *(
            sa.Column(name, sa.String, nullable=False)
            for name in ("name", "version", "workload", "target", "filename", "file")
        ),
        sa.Column("size", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("sha256", "sha1", "md5")),
        sa.Column("minimum", sa.JSON, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.UniqueConstraint("tenant_id", "name", "version"),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant_id", sa.Integer, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("token_hash", sa.String),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("seen", sa.Float),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("asked", sa.Boolean, nullable=False),
        sa.Column("auto_confirm", sa.String),
        sa.Column("installed_id", sa.Integer, sa.ForeignKey("release.id")),
        sa.Column("installed_action_id", sa.Integer),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    op.create_table(
        "rollout",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("tenant_id", sa.Integer, sa.ForeignKey("tenant.id"), nullable=False),
        sa.Column("release_id", sa.Integer, sa.ForeignKey("release.id"), nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("started", sa.Float),
        sa.Column("rolls_back", sa.Integer, sa.ForeignKey("rollout.id")),
        sa.Column("rolls_back_group", sa.Integer),
    )
    op.create_index("rollout_by_state", "rollout", ["state"])
    op.create_index("rollout_by_tenant", "rollout", ["tenant_id"])
    op.create_table(
        "action",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device_id", sa.Integer, sa.ForeignKey("device.id"), nullable=False),
        sa.Column("rollout_id", sa.Integer, sa.ForeignKey("rollout.id"), nullable=False),
        sa.Column("release_id", sa.Integer, sa.ForeignKey("release.id"), nullable=False),
        sa.Column("group_index", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("offered", sa.Float),
        sa.Column("ended", sa.Float),
        sa.Column("cancel_asked", sa.Boolean, nullable=False),
        sa.Column("confirmed", sa.Boolean),
        sa.Column("superseded", sa.Boolean, nullable=False),
        sa.Column("execution", sa.String, nullable=False),
        sa.UniqueConstraint("rollout_id", "device_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("action_by_device", "action", ["device_id", "id"])
    op.create_index("action_by_group", "action", ["rollout_id", "group_index", "state", "offered"])
    op.create_table(
        "report",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("action_id", sa.Integer, sa.ForeignKey("action.id"), nullable=False, index=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("received", sa.Float, nullable=False),
        sa.Column("execution", sa.String, nullable=False),
        sa.Column("finished", sa.String, nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("details", sa.JSON, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("tenant_id", sa.Integer, sa.ForeignKey("tenant.id"), index=True),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit BEGIN "
                "SELECT RAISE(ABORT, 'the audit log is only added to'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'the audit log is only added to'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
