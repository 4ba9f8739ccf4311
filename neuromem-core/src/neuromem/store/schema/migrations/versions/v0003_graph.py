"""The knowledge graph: nodes, their names, edges between them, and what can be undone."""

from __future__ import annotations

from alembic import context, op

from neuromem.store.database.row_security import row_security_ddl

revision = "0003"
down_revision = "0002"

USER = 'user_id text COLLATE "C" NOT NULL'
# created_at/superseded_at are the clock of neuromem: rows are versions, the current one is not superseded.
LEARNED = """
        created_at timestamptz NOT NULL,
        superseded_at timestamptz CHECK (superseded_at >= created_at)
"""

TABLES = {
    # `node` numbers the nodes of one user from 1: small keys make traversal fast.
    "nodes": f"""
        {USER},
        node integer NOT NULL,
        version integer NOT NULL,
        node_type text NOT NULL,
        name text NOT NULL,
        properties jsonb NOT NULL DEFAULT '{{}}',
        origin jsonb NOT NULL DEFAULT '{{}}',
        {LEARNED},
        PRIMARY KEY (user_id, node, version)
    """,
    # The names under which a node is found, its own and its aliases, in the form in which names are compared.
    "node_names": f"""
        {USER},
        key text COLLATE "C" NOT NULL CHECK (key <> ''),
        node_type text COLLATE "C" NOT NULL,
        node integer NOT NULL,
        name text NOT NULL,
        alias boolean NOT NULL,
        {LEARNED},
        PRIMARY KEY (user_id, key, node_type, created_at)
    """,
    # `relation` is the edge's type, or a custom one's normalized name, and `name` its own.
    # valid_from/valid_until say when it was true in the world; `closed_by` is the edge that ended it.
    "edges": f"""
        {USER},
        edge_id uuid NOT NULL,
        version integer NOT NULL,
        source integer NOT NULL,
        target integer NOT NULL,
        relation text COLLATE "C" NOT NULL CHECK (relation <> ''),
        name text,
        properties jsonb NOT NULL DEFAULT '{{}}',
        confidence double precision CHECK (confidence BETWEEN 0 AND 1),
        origin jsonb NOT NULL DEFAULT '{{}}',
        valid_from timestamptz,
        valid_until timestamptz CHECK (valid_until > valid_from),
        closed_by uuid,
        {LEARNED},
        PRIMARY KEY (user_id, edge_id, version)
    """,
    # The messages in which a relation was said; an edge said again is not a new version.
    "edge_sources": f"""
        {USER},
        edge_id uuid NOT NULL,
        message_id uuid NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (user_id, edge_id, message_id),
        FOREIGN KEY (user_id, message_id) REFERENCES {{s}}.messages ON DELETE CASCADE
    """,
    # Merges and aliases: everything that one did carries its moment, so that it can be undone.
    "graph_changes": f"""
        {USER},
        change_id uuid NOT NULL,
        kind text NOT NULL CHECK (kind IN ('merge', 'alias')),
        node integer NOT NULL,
        name text NOT NULL,
        created_at timestamptz NOT NULL,
        undone_at timestamptz,
        PRIMARY KEY (user_id, change_id)
    """,
}

CURRENT = "WHERE superseded_at IS NULL"
# Covering, so that traversal reads indexes alone; what is superseded lies apart and costs the present nothing.
TRAVERSED = "CREATE INDEX {name} ON {{s}}.edges (user_id, {here}, superseded_at) INCLUDE ({there}, {more})"
MORE = "relation, valid_from, valid_until, created_at"
INDEXES = (
    f"CREATE UNIQUE INDEX nodes_current ON {{s}}.nodes (user_id, node) {CURRENT}",
    f"CREATE UNIQUE INDEX node_names_current ON {{s}}.node_names (user_id, key, node_type) {CURRENT}",
    "CREATE INDEX node_names_node ON {s}.node_names (user_id, node)",
    f"CREATE UNIQUE INDEX edges_current ON {{s}}.edges (user_id, edge_id) {CURRENT}",
    f"""
        CREATE UNIQUE INDEX edges_statement ON {{s}}.edges (user_id, source, relation, target, valid_from)
        NULLS NOT DISTINCT {CURRENT}
    """,
    TRAVERSED.format(name="edges_out", here="source", there="target", more=MORE),
    TRAVERSED.format(name="edges_in", here="target", there="source", more=MORE),
    "CREATE INDEX edge_sources_message ON {s}.edge_sources (user_id, message_id)",
)


def upgrade() -> None:
    """Create the tables of the graph."""
    schema: str = context.config.attributes["schema"]
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {{s}}.{table} ({columns})".replace("{s}", f'"{schema}"'))
        for statement in row_security_ddl(schema, table):
            op.execute(statement)
    for statement in INDEXES:
        op.execute(statement.replace("{s}", f'"{schema}"'))
