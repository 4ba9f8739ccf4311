"""A document that was deleted is still part of the past, unless it was erased."""

from __future__ import annotations

from alembic import context, op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Say of documents until when they were there."""
    schema: str = context.config.attributes["schema"]
    op.execute(f'ALTER TABLE "{schema}".documents ADD COLUMN superseded_at timestamptz')
