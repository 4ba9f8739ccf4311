"""Tables and columns by the names that the field knows: centroids, capability, unique_key, baseline_cosine."""

from __future__ import annotations

from alembic import context, op

revision = "0013"
down_revision = "0012"

# Renaming touches the catalogue alone: no row is read or written, and policies, keys and indexes stay as they are.
RENAMES = (
    "ALTER TABLE {s}.middles RENAME TO centroids",
    "ALTER INDEX {s}.middles_pkey RENAME TO centroids_pkey",
    "ALTER TABLE {s}.jobs RENAME COLUMN needs TO capability",
    "ALTER TABLE {s}.memories RENAME COLUMN slot TO unique_key",
    "ALTER INDEX {s}.memories_slot RENAME TO memories_unique_key",
    "ALTER TABLE {s}.spaces RENAME COLUMN background TO baseline_cosine",
)


def upgrade() -> None:
    """Rename them."""
    schema: str = context.config.attributes["schema"]
    for statement in RENAMES:
        op.execute(statement.replace("{s}", f'"{schema}"'))
