"""Key-value: JSON values by namespace and key, the past of the profile included."""

from __future__ import annotations

from alembic import context, op

from neuromem.store.database.row_security import row_security_ddl

revision = "0002"
down_revision = "0001"

# One design for both kinds of namespaces: a key's current row has no superseded_at. Where the past is kept, a
# change closes that row and adds another; elsewhere it overwrites it. `value` is json, not jsonb: what was
# stored comes back as it was, key order, large numbers and NUL included.
KV = """
    CREATE TABLE {s}.kv (
        user_id text COLLATE "C" NOT NULL,
        namespace text COLLATE "C" NOT NULL CHECK (namespace <> ''),
        key text COLLATE "C" NOT NULL CHECK (key <> ''),
        value json NOT NULL,
        created_at timestamptz NOT NULL,
        superseded_at timestamptz CHECK (superseded_at >= created_at),
        expires_at timestamptz,
        origin jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (user_id, namespace, key, created_at)
    )
"""

# Which messages said a value of the profile, of lists each item (its digest), also when it was known already.
SOURCES = """
    CREATE TABLE {s}.kv_sources (
        user_id text COLLATE "C" NOT NULL,
        namespace text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        item bytea NOT NULL,
        message_id uuid NOT NULL,
        PRIMARY KEY (user_id, namespace, key, item, message_id),
        FOREIGN KEY (user_id, message_id) REFERENCES {s}.messages ON DELETE CASCADE
    )
"""

INDEXES = (
    "CREATE UNIQUE INDEX kv_current ON {s}.kv (user_id, namespace, key) WHERE superseded_at IS NULL",
    "CREATE INDEX kv_sources_message ON {s}.kv_sources (user_id, message_id)",
    "CREATE INDEX kv_expiring ON {s}.kv (user_id, expires_at) WHERE expires_at IS NOT NULL",
)


def upgrade() -> None:
    """Create the tables of key-value pairs."""
    schema: str = context.config.attributes["schema"]
    for statement in (KV, SOURCES, *INDEXES):
        op.execute(statement.replace("{s}", f'"{schema}"'))
    for table in ("kv", "kv_sources"):
        for statement in row_security_ddl(schema, table):
            op.execute(statement)
