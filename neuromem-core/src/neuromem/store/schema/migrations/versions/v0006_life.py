"""The life of memories: pins, expiry, and when they were last of use."""

from __future__ import annotations

from alembic import context, op

from neuromem.store.database.row_security import row_security_ddl

revision = "0006"
down_revision = "0005"

TABLES = {
    # How often recall returned a memory, and when last; written aside, in batches.
    "accesses": """
        user_id text COLLATE "C" NOT NULL,
        memory_id uuid NOT NULL,
        accesses integer NOT NULL,
        last_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, memory_id)
    """,
    # The exports that were imported, by their digest: importing one again changes nothing.
    "imports": """
        user_id text COLLATE "C" NOT NULL,
        digest text COLLATE "C" NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, digest)
    """,
}

CHANGES = (
    "ALTER TABLE {s}.memories ADD COLUMN pinned boolean NOT NULL DEFAULT false, ADD COLUMN expires_at timestamptz",
    # When a source was added to a version that was there already; NULL: it began with the version.
    "ALTER TABLE {s}.memory_sources ADD COLUMN created_at timestamptz",
    "CREATE INDEX memories_superseded ON {s}.memories (user_id, superseded_at) WHERE superseded_at IS NOT NULL",
)


def upgrade() -> None:
    """Extend memories and create the tables beside them."""
    schema: str = context.config.attributes["schema"]
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {{s}}.{table} ({columns})".replace("{s}", f'"{schema}"'))
        for statement in row_security_ddl(schema, table):
            op.execute(statement)
    for statement in CHANGES:
        op.execute(statement.replace("{s}", f'"{schema}"'))
