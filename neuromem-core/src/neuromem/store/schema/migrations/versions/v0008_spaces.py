"""A second embedding space beside the active one: it is filled while the other answers."""

from __future__ import annotations

from alembic import context, op

revision = "0008"
down_revision = "0007"

CHANGES = (
    # Where a space is on its way. 'announced': what is stored from now on is embedded for it too; 'filling': so is
    # what was there before; 'dropping': its vectors are being deleted.
    "ALTER TABLE {s}.spaces ADD COLUMN stage text CHECK (stage IN ('announced', 'filling', 'dropping'))",
    # Whether texts are embedded for it.
    "ALTER TABLE {s}.spaces ADD COLUMN wanted boolean GENERATED ALWAYS AS "
    "(active OR coalesce(stage, '') IN ('announced', 'filling')) STORED",
    "CREATE UNIQUE INDEX spaces_filling ON {s}.spaces ((true)) WHERE stage IN ('announced', 'filling')",
)


def upgrade() -> None:
    """Give spaces a stage."""
    schema: str = context.config.attributes["schema"]
    for statement in CHANGES:
        op.execute(statement.replace("{s}", f'"{schema}"'))
