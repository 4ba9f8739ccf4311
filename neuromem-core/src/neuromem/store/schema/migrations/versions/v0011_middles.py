"""What the vectors of a user have in common, kept so that the first question after a start need not work it out."""

from __future__ import annotations

from alembic import context, op
from pgvector.sqlalchemy import HALFVEC

from neuromem.store.database.row_security import row_security_ddl

revision = "0011"
down_revision = "0010"

# The middle of a user's vectors in a space: the mean of `n` of them, made when the user had had so many `entries`. None
# is made here of what is stored already: where it is missing a question works it out, until more is embedded.
MIDDLES = f"""
    CREATE TABLE {{s}}.middles (
        user_id text COLLATE "C" NOT NULL,
        space smallint NOT NULL REFERENCES {{s}}.spaces,
        entries integer NOT NULL,
        n integer NOT NULL,
        v {HALFVEC().get_col_spec()} NOT NULL,
        PRIMARY KEY (user_id, space)
    )
"""

# By which a question looks at current vectors alone: superseded ones lie between them and may be many times more.
CURRENT = "CREATE INDEX vectors_current ON {s}.vectors (user_id, space, entry) WHERE current"


def upgrade() -> None:
    """Create the table."""
    schema: str = context.config.attributes["schema"]
    op.execute(MIDDLES.replace("{s}", f'"{schema}"'))
    for statement in row_security_ddl(schema, "middles"):
        op.execute(statement)
    op.execute(CURRENT.replace("{s}", f'"{schema}"'))
    # As in `vectors`: in the row, whatever its length.
    op.execute(f'ALTER TABLE "{schema}".middles ALTER COLUMN v SET STORAGE MAIN')
