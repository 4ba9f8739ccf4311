"""What is stored now, seen from outside: the database's rows and the folder's objects."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem_local import FolderStorage

COUNTS = """
    SELECT (SELECT count(*) FROM {s}.documents WHERE user_id = :user AND superseded_at IS NULL) AS documents,
           (SELECT count(*) FROM {s}.passages JOIN {s}.documents d USING (user_id, document_id)
            WHERE user_id = :user AND d.superseded_at IS NULL) AS passages,
           (SELECT count(*) FROM {s}.entries WHERE user_id = :user AND superseded_at IS NULL) AS entries,
           (SELECT count(DISTINCT entry) FROM {s}.postings WHERE user_id = :user AND current) AS posted,
           (SELECT count(*) FROM {s}.vectors WHERE user_id = :user AND current) AS vectors,
           (SELECT coalesce(sum(entries), 0) FROM {s}.corpora WHERE user_id = :user) AS counted,
           (SELECT count(*) FROM {s}.jobs WHERE user_id = :user) AS jobs
"""
KEYS = "SELECT object_key FROM {s}.documents WHERE user_id = :user AND object_key IS NOT NULL"
JOBS = "SELECT count(*) FROM {s}.jobs WHERE user_id = :user AND kind = 'object'"


@dataclass(frozen=True)
class Place:
    """A database and a folder of objects."""

    database_url: str
    database: Database
    folder: FolderStorage

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, folder: FolderStorage) -> AsyncIterator[Place]:
        database = Database(parse_dsn(database_url), pool_size=2)
        try:
            yield cls(database_url, database, folder)
        finally:
            await database.close()

    def objects(self) -> list[str]:
        """The keys in the folder."""
        found = self.folder.root.glob("*+/*") if self.folder.root.exists() else ()
        return sorted(
            f"{path.parent.name[:-1]}/{path.name}" for path in found if path.parent.name != "+incoming"
        )

    async def counts(self, user: str = "alice") -> dict[str, int]:
        """How many rows there are of everything that a document makes."""
        async with self.database.user(user) as transaction:
            row = await transaction.first(COUNTS, {"user": user})
        assert row is not None
        return {name: int(value) for name, value in row.items()}

    async def check(self, user: str = "alice") -> dict[str, int]:
        """Insist that rows, index and objects belong together, and return the counts."""
        counts = await self.counts(user)
        assert await self.keys(user) == self.objects()
        assert counts["passages"] == counts["entries"] == counts["posted"] == counts["counted"], counts
        return counts

    async def keys(self, user: str = "alice") -> list[str]:
        """The keys that documents name."""
        return sorted(row.object_key for row in await self._all(KEYS, user))

    async def announced(self, user: str = "alice") -> int:
        """How many objects wait to be confirmed or deleted."""
        async with self.database.user(user) as transaction:
            return int(await transaction.value(JOBS, {"user": user}))

    async def _all(self, sql: str, user: str) -> Any:
        async with self.database.user(user) as transaction:
            return await transaction.all(sql, {"user": user})
