"""The read transaction of one question: begun by its first statement, and shared by all that read for the question."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from neuromem.store.retrieval.planner import choose_planner_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from neuromem.domain.query import Query
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.retrieval.user_snapshot import UserSnapshots


class ReadTransaction:
    """One connection and one snapshot of the database for all statements of a question.

    It begins with the first statement, so that no transaction stays open while the question is being embedded.

    Args:
        database: The database.
        user_id: The user.
        timeout: How many seconds a statement may take.
        snapshots: What is known of users, for the choice of the planner settings.
    """

    def __init__(
        self, database: Database, user_id: str, timeout: float | None, snapshots: UserSnapshots
    ) -> None:
        self._database = database
        self._user_id = user_id
        self._timeout = timeout
        self._snapshots = snapshots
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._transaction: Transaction | None = None
        self.uses_hnsw = False  # whether it was begun with the settings for the user's HNSW index

    @asynccontextmanager
    async def statement(self, query: Query) -> AsyncIterator[Transaction]:
        """Wait for the connection and give the transaction; an error in the block ends the transaction."""
        async with self._turn:
            if self._transaction is None:
                planner = choose_planner_settings(self._database, self._snapshots, query)
                self.uses_hnsw = planner.uses_hnsw
                self._transaction = await self._stack.enter_async_context(
                    self._database.reader(
                        self._user_id,
                        self._timeout,
                        settings=planner.settings,
                        as_of=query.filters.as_of,
                    )
                )
            try:
                yield self._transaction
            except BaseException:
                await self.end()
                raise

    async def end(self) -> None:
        """End the transaction and give its connection back; the next statement begins another one."""
        self._transaction = None
        await self._stack.aclose()
