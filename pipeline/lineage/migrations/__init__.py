"""Alembic's migrations of the lineage store; `pipeline.lineage.database` runs them when it opens one."""
