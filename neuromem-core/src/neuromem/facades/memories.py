"""Adding a memory by hand, and reading memories by id, by filter and by time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.memories import NewMemory
from neuromem.domain.memory_types import GENERAL
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.errors import InputError
from neuromem.facades.memory_filter import checked_filter
from neuromem.store.memories.query import MEMORY_KEYS, fetch_memory, fetch_memory_page
from neuromem.store.memories.write import insert_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from neuromem.config import Settings
    from neuromem.domain.memories import Memory
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database
    from neuromem.store.memories.query import MemoryPage, Order

MAX_LIMIT = 10_000


class Memories:
    """Adds and reads memories; `MemoryChanges` changes and deletes them."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, *, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._wake = wake

    async def add_memory(
        self,
        user_id: str,
        content: str,
        memory_type: str = GENERAL.name,
        metadata: Mapping[str, Any] | None = None,
        occurred_at: datetime | None = None,
        importance: float | None = None,
    ) -> Memory:
        """Store a memory directly, without an LLM; the same statement again returns the stored one.

        Args:
            user_id: Whose memory it is.
            content: The statement, at most ``settings.max_content`` characters.
            memory_type: "fact", "episodic", "insight" or "general".
            metadata: A dict that JSON can hold; filters can ask for it.
            occurred_at: When it happened; timezone-aware. None: unknown.
            importance: From 1 to 10; None: unknown.

        Returns:
            The stored memory. Recall finds it by its words at once, by its meaning when it is embedded.

        Raises:
            InputError: An argument cannot be used; nothing was stored.
        """
        validation.user_id(user_id)
        new = NewMemory(
            content=validation.content(content, most=self._settings.max_content, whose=user_id),
            memory_type=validation.memory_type(memory_type),
            metadata=validation.metadata(metadata),
            occurred_at=validation.moment("occurred_at", occurred_at),
            importance=validation.number("importance", importance, 1, 10),
            origin={"by": "user"},
        )
        stored = await insert_memory(
            self._database, user_id, new, tokens=EntryTokenizer(self._settings.language)
        )
        self._wake()
        return stored

    async def get_memory(self, user_id: str, memory_id: str, as_of: datetime | None = None) -> Memory | None:
        """Return a memory as it is, or as it was known then; None when there is none.

        Args:
            user_id: Whose memory it is.
            memory_id: The memory's id.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            The version that is current, or was at ``as_of``.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        moment = validation.moment("as_of", as_of)
        async with self._database.reader(user_id, as_of=moment) as transaction:
            found = await fetch_memory(transaction, user_id, wanted, moment)
        return None if found is None else found[0]

    async def list_memories(
        self,
        user_id: str,
        memory_type: str | Sequence[str] | None = None,
        limit: int = 100,
        cursor: str | None = None,
        *,
        order: Order = "created_at",
        descending: bool = True,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        event_after: datetime | None = None,
        event_before: datetime | None = None,
        min_importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        pinned: bool | None = None,
        archived: bool = False,
        as_of: datetime | None = None,
    ) -> MemoryPage:
        """Return a list of memories, the newest first; pass its ``cursor`` for the next ones.

        Args:
            user_id: Whose memories.
            memory_type: One type or several; None: all.
            limit: How many at most, 1 to 10,000.
            cursor: The ``cursor`` of the page before; None: from the beginning.
            order: "created_at", "occurred_at" (``created_at`` where that is unknown) or "importance" (0 where unknown).
            descending: The largest first.
            created_after: Learned at this moment or later.
            created_before: Learned earlier than this moment.
            event_after: ``occurred_at`` at this moment or later; a memory without one is left out.
            event_before: ``occurred_at`` earlier than this moment; a memory without one is left out.
            min_importance: At least this important, 0 to 10; unknown counts as 0.
            metadata: Keys and values that the memory's metadata contains.
            pinned: True: only pinned ones; False: only others.
            archived: List what `forget` archived instead of what holds.
            as_of: List what was known at this moment; not together with ``archived``.

        Returns:
            A list of `Memory` with an attribute ``cursor``, None on the last page.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        if order not in MEMORY_KEYS:
            raise InputError(f"order must be one of {', '.join(MEMORY_KEYS)}, not {order!r}.")
        chosen = checked_filter(
            memory_type,
            created_after=created_after,
            created_before=created_before,
            event_after=event_after,
            event_before=event_before,
            min_importance=min_importance,
            metadata=metadata,
            pinned=pinned,
            archived=archived,
            as_of=as_of,
        )
        return await fetch_memory_page(
            self._database,
            user_id,
            chosen,
            order=order,
            descending=descending,
            limit=validation.count("limit", limit, most=MAX_LIMIT),
            cursor=cursor,
        )

    async def get_memories_by_time_range(
        self,
        user_id: str,
        start_time: datetime,
        end_time: datetime | None = None,
        memory_type: str | None = None,
        limit: int = 50,
    ) -> list[Memory]:
        """Return the memories learned from ``start_time`` on and before ``end_time`` (now), the newest first.

        Args:
            user_id: Whose memories.
            start_time: The beginning, included; timezone-aware.
            end_time: The end, not included; None: no end.
            memory_type: One type; None: all.
            limit: How many at most, 1 to 10,000.

        Returns:
            The memories that hold now and were learned in that time.

        Raises:
            InputError: An argument cannot be used, or the end lies before the beginning.
        """
        if validation.moment("start_time", start_time) is None:
            raise InputError("start_time must be a datetime, not None.")
        if (
            validation.moment("end_time", end_time) is not None
            and end_time is not None
            and end_time < start_time
        ):
            raise InputError(
                f"end_time {end_time.isoformat()} lies before start_time {start_time.isoformat()}."
            )
        return await self.list_memories(
            user_id, memory_type, limit, created_after=start_time, created_before=end_time
        )

    async def get_recent_memories(
        self, user_id: str, days: int = 7, memory_types: Sequence[str] | None = None, limit: int = 50
    ) -> list[Memory]:
        """Return the memories learned in the last days, the newest first.

        Args:
            user_id: Whose memories.
            days: How many days back, 1 to 100,000.
            memory_types: Types to list; None: all.
            limit: How many at most, 1 to 10,000.

        Returns:
            The memories that hold now and were learned in that time.

        Raises:
            InputError: An argument cannot be used.
        """
        since = self._clock.now() - timedelta(days=validation.count("days", days, most=100_000))
        return await self.list_memories(user_id, memory_types, limit, created_after=since)
