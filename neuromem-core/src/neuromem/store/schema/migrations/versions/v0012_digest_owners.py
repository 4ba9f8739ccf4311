"""Who digests for a user: one that is gone need not be waited for."""

from __future__ import annotations

from alembic import context, op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Note with each digest's lease the number under which its process is present; NULL: only time tells."""
    schema: str = context.config.attributes["schema"]
    op.execute(f'ALTER TABLE "{schema}".digests ADD COLUMN owner integer')
