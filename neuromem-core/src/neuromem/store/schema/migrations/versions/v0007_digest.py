"""Digest: what insights rest on, what is digested, and how the user feels, as sums kept by the database itself."""

from __future__ import annotations

from alembic import context, op

from neuromem.store.database.row_security import row_security_ddl, row_security_lifted

revision = "0007"
down_revision = "0006"

USER = 'user_id text COLLATE "C" NOT NULL'

TABLES = {
    # What speaks for or against an insight: a version of a memory. `source` names the conversation (or the memory
    # itself), so that what was said twice in one place counts once. A row ends when its memory stops holding.
    "evidence": f"""
        {USER},
        insight uuid NOT NULL,
        memory_id uuid NOT NULL,
        memory_version integer NOT NULL,
        against boolean NOT NULL,
        weight double precision NOT NULL CHECK (weight > 0 AND weight < 1),
        source text NOT NULL,
        created_at timestamptz NOT NULL,
        superseded_at timestamptz,
        PRIMARY KEY (user_id, insight, memory_id, memory_version, against, created_at),
        FOREIGN KEY (user_id, memory_id, memory_version) REFERENCES {{s}}.memories ON DELETE CASCADE
    """,
    # One row per user: messages said since the last digest was asked for, and who is digesting now.
    "digests": f"""
        {USER} PRIMARY KEY,
        messages integer NOT NULL DEFAULT 0,
        lease uuid,
        lease_until timestamptz
    """,
    # Current memories that carry an emotion, summed: all of them under the topic '', and under each of their topics.
    # In millionths, for sums of floats depend on their order.
    "emotions": f"""
        {USER},
        topic text NOT NULL,
        emotion text NOT NULL,
        memories integer NOT NULL,
        valences integer NOT NULL,
        valence bigint NOT NULL,
        arousals integer NOT NULL,
        arousal bigint NOT NULL,
        PRIMARY KEY (user_id, topic, emotion)
    """,
    # How the user felt of late, in a sentence; `memories` are those that it tells of.
    "moods": f"""
        {USER},
        mood text NOT NULL,
        memories uuid[] NOT NULL,
        origin jsonb NOT NULL DEFAULT '{{}}',
        created_at timestamptz NOT NULL,
        superseded_at timestamptz,
        PRIMARY KEY (user_id, created_at)
    """,
}

CHANGES = (
    "ALTER TABLE {s}.memories ADD COLUMN digested_at timestamptz",
    "CREATE INDEX memories_undigested ON {s}.memories (user_id, created_at, memory_id) "
    "WHERE digested_at IS NULL AND superseded_at IS NULL AND memory_type <> 'insight'",
    "CREATE INDEX evidence_memory ON {s}.evidence (user_id, memory_id, memory_version)",
    "CREATE INDEX evidence_current ON {s}.evidence (user_id, insight) WHERE superseded_at IS NULL",
)

FELT = """
    SELECT m.user_id, t.topic, lower(coalesce(m.emotion, '')) AS emotion, {sign} AS memories,
           {sign} * (m.valence IS NOT NULL)::int AS valences,
           {sign} * coalesce(round(m.valence * 1000000), 0)::bigint AS valence,
           {sign} * (m.arousal IS NOT NULL)::int AS arousals,
           {sign} * coalesce(round(m.arousal * 1000000), 0)::bigint AS arousal
    FROM {rows} m CROSS JOIN LATERAL (
        SELECT '' AS topic UNION SELECT btrim(n.name) FROM unnest(m.entities || m.category) AS n(name)
        WHERE n.name IS NOT NULL
    ) AS t
    WHERE m.superseded_at IS NULL AND m.memory_type <> 'insight'
      AND (m.valence IS NOT NULL OR m.arousal IS NOT NULL OR m.emotion IS NOT NULL)
"""
NET = """
    SELECT user_id, topic, emotion, sum(memories)::int AS memories, sum(valences)::int AS valences,
           sum(valence)::bigint AS valence, sum(arousals)::int AS arousals, sum(arousal)::bigint AS arousal
    FROM ({felt}) AS felt GROUP BY user_id, topic, emotion
    HAVING (sum(memories), sum(valences), sum(valence), sum(arousals), sum(arousal)) <> (0, 0, 0, 0, 0)
"""
ADDED = """
    memories = e.memories + n.memories, valences = e.valences + n.valences, valence = e.valence + n.valence,
    arousals = e.arousals + n.arousals, arousal = e.arousal + n.arousal
"""
SAME = "e.user_id = n.user_id AND e.topic = n.topic AND e.emotion = n.emotion AND n.memories <= 0"
# Where nothing is left of a topic its row goes, with its name.
COUNT = f"""
    WITH net AS MATERIALIZED ({NET}), grown AS (
        INSERT INTO {{s}}.emotions AS e (user_id, topic, emotion, memories, valences, valence, arousals, arousal)
        SELECT * FROM net WHERE memories > 0
        ON CONFLICT (user_id, topic, emotion) DO UPDATE SET {ADDED.replace("n.", "excluded.")}
    ), gone AS (
        DELETE FROM {{s}}.emotions e USING net n WHERE {SAME} AND e.memories + n.memories <= 0
    )
    UPDATE {{s}}.emotions e SET {ADDED} FROM net n WHERE {SAME} AND e.memories + n.memories > 0
"""
ROWS = {
    "INSERT": (("added", "1"),),
    "UPDATE": (("added", "1"), ("removed", "-1")),
    "DELETE": (("removed", "-1"),),
}
# Most statements touch no memory that carries an emotion, and many none at all.
FEELS = """
    EXISTS (SELECT FROM {rows} m WHERE m.valence IS NOT NULL OR m.arousal IS NOT NULL OR m.emotion IS NOT NULL)
"""
REFERENCING = {"added": "NEW TABLE AS added", "removed": "OLD TABLE AS removed"}


def _count(*rows: tuple[str, str]) -> str:
    felt = " UNION ALL ".join(FELT.replace("{rows}", name).replace("{sign}", sign) for name, sign in rows)
    return COUNT.replace("{felt}", felt)


def upgrade() -> None:
    """Create the tables of digest, and the triggers that keep the sums, whoever changes memories and why."""
    schema: str = context.config.attributes["schema"]

    def run(sql: str) -> None:
        op.execute(sql.replace("{s}", f'"{schema}"'))

    for table, columns in TABLES.items():
        run(f"CREATE TABLE {{s}}.{table} ({columns})")
        for statement in row_security_ddl(schema, table):
            op.execute(statement)
    for statement in CHANGES:
        run(statement)
    with row_security_lifted(op.execute, schema, "memories", "emotions"):
        run(_count(("{s}.memories", "1")))
    for event, rows in ROWS.items():
        feels = " OR ".join(FEELS.replace("{rows}", name) for name, _ in rows)
        function = f"{{s}}.count_emotions_on_{event.lower()}"
        run(
            f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
            f"AS $$ BEGIN IF {feels} THEN {_count(*rows)}; END IF; RETURN NULL; END $$"
        )
        tables = " ".join(REFERENCING[name] for name, _ in rows)
        run(
            f"CREATE TRIGGER emotions_on_{event.lower()} AFTER {event} ON {{s}}.memories "
            f"REFERENCING {tables} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
