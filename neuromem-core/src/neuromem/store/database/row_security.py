"""Row level security: PostgreSQL itself keeps users apart, in addition to ``user_id`` in every statement."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Tables without rows of users. Every other table has user_id first in every key and is protected.
GLOBAL_TABLES = frozenset({"alembic_version", "spaces"})
# Tables that a worker may read and write for all users, to find the next job; they hold ids, never content.
WORKER_TABLES = frozenset({"users", "jobs"})

_USER = "user_id = current_setting('neuromem.user_id', true)"
_WORKER = "current_setting('neuromem.scope', true) = 'worker'"


def row_security_ddl(schema: str, table: str) -> list[str]:
    """Return the DDL that makes a table show a user's rows to that user alone, its owner included."""
    name = f'"{schema}".{table}'
    rule = f"{_USER} OR {_WORKER}" if table in WORKER_TABLES else _USER
    return [
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own_rows ON {name} USING ({rule}) WITH CHECK ({rule})",
    ]


@contextmanager
def row_security_lifted(execute: Callable[[str], object], schema: str, *tables: str) -> Iterator[None]:
    """Lift FORCE from tables while a migration changes their rows, and set it again.

    With FORCE, an UPDATE by the owner that is meant for the rows of all users silently changes none. To be used inside
    one transaction: a failure then rolls this back as well.

    Args:
        execute: Runs a statement.
        schema: The schema of the tables.
        tables: Their names.
    """
    for table in tables:
        execute(f'ALTER TABLE "{schema}".{table} NO FORCE ROW LEVEL SECURITY')
    yield
    for table in tables:
        execute(f'ALTER TABLE "{schema}".{table} FORCE ROW LEVEL SECURITY')
