"""What Alembic runs to migrate: within the transaction of the connection that it is given."""

from __future__ import annotations

from alembic import context

from fleet.store.schema import VERSION_TABLE, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
