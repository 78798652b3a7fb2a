"""Alembic's scripts: they make the tables of `fleet.store.schema`, and lead from each schema to the next."""
