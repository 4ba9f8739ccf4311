"""Documents and their passages."""

from __future__ import annotations

from alembic import context, op

from neuromem.store.database.row_security import row_security_ddl

revision = "0005"
down_revision = "0004"

USER = 'user_id text COLLATE "C" NOT NULL'

TABLES = {
    # `object_key` is where the bytes lie, in the storage that `storage` names; both are NULL where there are none.
    # `labels` is what questions filter by and answers show: the user's metadata and, above it, the document's facts.
    "documents": f"""
        {USER},
        document_id uuid NOT NULL,
        filename text NOT NULL CHECK (filename <> ''),
        file_type text NOT NULL,
        content_type text NOT NULL,
        size bigint NOT NULL,
        category text NOT NULL,
        tags text[] NOT NULL DEFAULT '{{}}',
        metadata jsonb NOT NULL DEFAULT '{{}}',
        labels jsonb NOT NULL,
        characters integer NOT NULL,
        passages integer NOT NULL,
        created_at timestamptz NOT NULL,
        object_key text,
        storage text,
        PRIMARY KEY (user_id, document_id),
        CHECK ((object_key IS NULL) = (storage IS NULL))
    """,
    # Pieces of the text that overlap and leave no gap; `start` counts characters, `page` pages from 1.
    "passages": f"""
        {USER},
        passage_id uuid NOT NULL,
        document_id uuid NOT NULL,
        position integer NOT NULL,
        entry integer NOT NULL,
        start integer NOT NULL,
        page integer,
        content text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, passage_id),
        UNIQUE (user_id, document_id, position),
        UNIQUE (user_id, entry),
        FOREIGN KEY (user_id, document_id) REFERENCES {{s}}.documents ON DELETE CASCADE
    """,
}

INDEXES = ("CREATE INDEX documents_time ON {s}.documents (user_id, created_at)",)


def upgrade() -> None:
    """Create the tables of documents."""
    schema: str = context.config.attributes["schema"]
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {{s}}.{table} ({columns})".replace("{s}", f'"{schema}"'))
        for statement in row_security_ddl(schema, table):
            op.execute(statement)
    for statement in INDEXES:
        op.execute(statement.replace("{s}", f'"{schema}"'))
