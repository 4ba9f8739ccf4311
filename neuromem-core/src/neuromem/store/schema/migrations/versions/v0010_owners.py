"""Who holds a lease: a worker that is gone need not be waited for."""

from __future__ import annotations

from alembic import context, op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Note with each lease the number under which its worker is present; NULL: only time tells whether it lives."""
    schema: str = context.config.attributes["schema"]
    op.execute(f'ALTER TABLE "{schema}".jobs ADD COLUMN owner integer')
