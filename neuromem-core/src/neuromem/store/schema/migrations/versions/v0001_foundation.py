"""The foundation: users, sessions, messages, memories, the search index, embedding spaces, work.

Rules that every later migration keeps: ``user_id`` (text, collate "C") stands first in every primary key, unique
constraint, foreign key and index of a table with user data; `protect` goes over each such table.
"""

from __future__ import annotations

from alembic import context, op
from pgvector.sqlalchemy import HALFVEC

from neuromem.store.database.row_security import row_security_ddl

revision = "0001"
down_revision = None

USER = 'user_id text COLLATE "C" NOT NULL'
VECTOR = HALFVEC().get_col_spec()

TABLES = {
    # One row per user. `last_tx` makes transaction time strictly increasing per user; writing to a user begins
    # with an update of this row, whose lock orders the writers. `last_entry` numbers the user's index entries.
    "users": f"""
        {USER} PRIMARY KEY CHECK (user_id <> ''),
        created_at timestamptz NOT NULL,
        last_tx timestamptz NOT NULL,
        last_entry integer NOT NULL DEFAULT 0,
        language text
    """,
    "sessions": f"""
        {USER},
        session_id text NOT NULL CHECK (session_id <> ''),
        title text,
        metadata jsonb NOT NULL DEFAULT '{{}}',
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        closed_at timestamptz,
        message_count integer NOT NULL DEFAULT 0,
        next_position integer NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, session_id)
    """,
    # The names that messages carry: a question that names one is asked about that speaker.
    "speakers": f"""
        {USER},
        name text NOT NULL,
        messages integer NOT NULL,
        PRIMARY KEY (user_id, name)
    """,
    # What was said: the truth from which everything else is derived.
    "messages": f"""
        {USER},
        message_id uuid NOT NULL,
        session_id text NOT NULL,
        position integer NOT NULL,
        entry integer NOT NULL,
        role text NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),
        name text,
        content text NOT NULL CHECK (content <> ''),
        metadata jsonb NOT NULL DEFAULT '{{}}',
        language text,
        created_at timestamptz NOT NULL,
        occurred_at timestamptz NOT NULL,
        idempotency_key text,
        PRIMARY KEY (user_id, message_id),
        UNIQUE (user_id, session_id, position),
        FOREIGN KEY (user_id, session_id) REFERENCES {{s}}.sessions (user_id, session_id)
    """,
    # What is known: one row per version. created_at/superseded_at are the clock of neuromem, occurred_at and
    # valid_* that of the world.
    "memories": f"""
        {USER},
        memory_id uuid NOT NULL,
        version integer NOT NULL,
        entry integer NOT NULL,
        memory_type text NOT NULL CHECK (memory_type IN ('fact', 'episodic', 'insight', 'general')),
        content text NOT NULL CHECK (content <> ''),
        content_hash bytea NOT NULL,
        category text,
        metadata jsonb NOT NULL DEFAULT '{{}}',
        importance double precision CHECK (importance BETWEEN 1 AND 10),
        confidence double precision CHECK (confidence BETWEEN 0 AND 1),
        valence double precision CHECK (valence BETWEEN -1 AND 1),
        arousal double precision CHECK (arousal BETWEEN 0 AND 1),
        emotion text,
        created_at timestamptz NOT NULL,
        superseded_at timestamptz CHECK (superseded_at >= created_at),
        superseded_why text,
        occurred_at timestamptz,
        valid_from timestamptz,
        valid_until timestamptz,
        origin jsonb NOT NULL DEFAULT '{{}}',
        PRIMARY KEY (user_id, memory_id, version)
    """,
    "memory_sources": f"""
        {USER},
        memory_id uuid NOT NULL,
        version integer NOT NULL,
        message_id uuid NOT NULL,
        PRIMARY KEY (user_id, memory_id, version, message_id),
        FOREIGN KEY (user_id, memory_id, version) REFERENCES {{s}}.memories ON DELETE CASCADE,
        FOREIGN KEY (user_id, message_id) REFERENCES {{s}}.messages ON DELETE CASCADE
    """,
    # The search index. An entry is one thing that can be found: a message (kind 'm'), a version of a memory
    # ('k' for known) or a passage of a document ('d'). It repeats the few narrow columns that retrieval filters
    # by, so that no wide row is read before the best are known. `length` is in tokens; `tokenizer` is the
    # version of the code that made them.
    "entries": f"""
        {USER},
        entry integer NOT NULL,
        kind "char" NOT NULL,
        item uuid NOT NULL,
        version integer NOT NULL,
        memory_type text NOT NULL,
        session_id text,
        position integer,
        speaker text,
        length integer NOT NULL,
        tokenizer smallint NOT NULL,
        created_at timestamptz NOT NULL,
        superseded_at timestamptz,
        occurred_at timestamptz,
        extracted boolean NOT NULL DEFAULT false,
        PRIMARY KEY (user_id, entry),
        UNIQUE (user_id, item, version)
    """,
    # One row per entry and distinct token, as narrow as it gets: these are the most rows of all.
    "postings": f"""
        {USER},
        entry integer NOT NULL,
        length integer NOT NULL,
        tf smallint NOT NULL,
        kind "char" NOT NULL,
        current boolean NOT NULL,
        term text COLLATE "C" NOT NULL,
        PRIMARY KEY (user_id, entry, term)
    """,
    # How many current entries and tokens each corpus has: BM25's N and average length.
    "corpora": f"""
        {USER},
        kind "char" NOT NULL,
        entries integer NOT NULL,
        tokens bigint NOT NULL,
        PRIMARY KEY (user_id, kind)
    """,
    # Normalized vectors; `part` counts the vectors of one entry. Unsized: the space says how long they are.
    "vectors": f"""
        {USER},
        space smallint NOT NULL REFERENCES {{s}}.spaces,
        entry integer NOT NULL,
        part smallint NOT NULL DEFAULT 0,
        kind "char" NOT NULL,
        current boolean NOT NULL,
        v {VECTOR} NOT NULL,
        PRIMARY KEY (user_id, space, entry, part),
        FOREIGN KEY (user_id, entry) REFERENCES {{s}}.entries ON DELETE CASCADE
    """,
    # Work to be done: ids, never content. `needs` is what a worker must have to serve it.
    "jobs": f"""
        {USER},
        job bigint GENERATED ALWAYS AS IDENTITY,
        kind text NOT NULL,
        needs text NOT NULL DEFAULT '',
        entry integer,
        payload jsonb NOT NULL DEFAULT '{{}}',
        created_at timestamptz NOT NULL DEFAULT now(),
        run_after timestamptz NOT NULL DEFAULT now(),
        attempts smallint NOT NULL DEFAULT 0,
        lease uuid,
        lease_until timestamptz,
        dead boolean NOT NULL DEFAULT false,
        error text,
        PRIMARY KEY (user_id, job)
    """,
}

INDEXES = (
    "CREATE UNIQUE INDEX messages_idempotency ON {s}.messages (user_id, idempotency_key) "
    "WHERE idempotency_key IS NOT NULL",
    "CREATE INDEX messages_time ON {s}.messages (user_id, occurred_at)",
    "CREATE INDEX messages_entry ON {s}.messages (user_id, entry)",
    "CREATE INDEX memories_entry ON {s}.memories (user_id, entry)",
    "CREATE UNIQUE INDEX memories_current ON {s}.memories (user_id, memory_id) WHERE superseded_at IS NULL",
    "CREATE UNIQUE INDEX memories_statement ON {s}.memories (user_id, memory_type, content_hash) "
    "WHERE superseded_at IS NULL",
    "CREATE INDEX memories_time ON {s}.memories (user_id, created_at)",
    "CREATE INDEX memory_sources_message ON {s}.memory_sources (user_id, message_id)",
    "CREATE UNIQUE INDEX entries_turn ON {s}.entries (user_id, session_id, position) WHERE kind = 'm'",
    # Covering, so that BM25 reads the index alone; superseded versions lie apart and cost nothing now.
    "CREATE INDEX postings_current ON {s}.postings (user_id, kind, term) INCLUDE (entry, tf, length) "
    "WHERE current",
    "CREATE INDEX postings_past ON {s}.postings (user_id, kind, term) INCLUDE (entry, tf, length) "
    "WHERE NOT current",
    "CREATE INDEX jobs_open ON {s}.jobs (user_id, kind, job) WHERE NOT dead",
    "CREATE INDEX jobs_tried ON {s}.jobs (user_id, kind, job) WHERE attempts > 0 AND NOT dead",
)

SPACES = """
    CREATE TABLE {s}.spaces (
        space smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        provider text NOT NULL,
        model text NOT NULL,
        dims integer NOT NULL CHECK (dims BETWEEN 1 AND 4000),
        revision text NOT NULL,
        active boolean NOT NULL,
        background double precision,
        created_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (provider, model, dims, revision)
    )
"""


def upgrade() -> None:
    """Create everything in the schema that the configuration names."""
    schema: str = context.config.attributes["schema"]

    def run(sql: str) -> None:
        op.execute(sql.replace("{s}", f'"{schema}"'))

    run(SPACES)
    run("CREATE UNIQUE INDEX spaces_active ON {s}.spaces (active) WHERE active")
    for table, columns in TABLES.items():
        run(f"CREATE TABLE {{s}}.{table} ({columns})")
        for statement in row_security_ddl(schema, table):
            op.execute(statement)
    for statement in INDEXES:
        run(statement)
    # Stored as they are, in the row: a vector of 1,024 dimensions must not move to a TOAST table.
    run("ALTER TABLE {s}.vectors ALTER COLUMN v SET STORAGE MAIN")
