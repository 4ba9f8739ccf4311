"""Extraction: what became of each message, what memories are about, and what the calls cost."""

from __future__ import annotations

from alembic import context, op

from neuromem.store.database.row_security import row_security_ddl

revision = "0004"
down_revision = "0003"

USER = 'user_id text COLLATE "C" NOT NULL'

TABLES = {
    # How the extraction of a message ended; while it waits, failed or was given up, its job says so.
    "extractions": f"""
        {USER},
        message_id uuid NOT NULL,
        extractor text NOT NULL,
        state text NOT NULL CHECK (state IN ('done', 'empty')),
        why text,
        origin jsonb NOT NULL DEFAULT '{{}}',
        created_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, message_id, extractor),
        FOREIGN KEY (user_id, message_id) REFERENCES {{s}}.messages ON DELETE CASCADE
    """,
    # Tokens by day (UTC), as the providers tell them.
    "usage": f"""
        {USER},
        day date NOT NULL,
        operation text NOT NULL,
        model text NOT NULL,
        calls integer NOT NULL,
        failures integer NOT NULL,
        prompt_tokens bigint NOT NULL,
        completion_tokens bigint NOT NULL,
        PRIMARY KEY (user_id, day, operation, model)
    """,
}

CHANGES = (
    # Whether a model is done with any message of the user: only then recall has to look which ones.
    "ALTER TABLE {s}.users ADD COLUMN extracted boolean NOT NULL DEFAULT false",
    # Minutes east of UTC in which the speaker gave the time: "yesterday" is meant there.
    "ALTER TABLE {s}.messages ADD COLUMN utc_offset smallint",
    # `slot` names what a thing has one of at a time ("alice" and LIVES_IN): a new statement ends the old one.
    "ALTER TABLE {s}.memories ADD COLUMN subject text, ADD COLUMN slot text, "
    "ADD COLUMN entities text[] NOT NULL DEFAULT '{}', "
    "ADD COLUMN reinforced integer NOT NULL DEFAULT 0, ADD COLUMN reinforced_at timestamptz",
    "CREATE INDEX memories_slot ON {s}.memories (user_id, slot) WHERE superseded_at IS NULL AND slot IS NOT NULL",
    "CREATE INDEX memories_hash ON {s}.memories (user_id, content_hash)",
)


def upgrade() -> None:
    """Create the tables of extraction and extend those it writes to."""
    schema: str = context.config.attributes["schema"]
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {{s}}.{table} ({columns})".replace("{s}", f'"{schema}"'))
        for statement in row_security_ddl(schema, table):
            op.execute(statement)
    for statement in CHANGES:
        op.execute(statement.replace("{s}", f'"{schema}"'))
