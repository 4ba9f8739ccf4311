"""Runs migrations on the connection that ``store.schema`` hands over, in the transaction it opened."""

from __future__ import annotations

from alembic import context

options = context.config.attributes
context.configure(
    connection=options["connection"],
    version_table="alembic_version",
    version_table_schema=options["schema"],
)
context.run_migrations()
