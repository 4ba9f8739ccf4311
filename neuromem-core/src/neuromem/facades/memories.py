"""Reading, changing and deleting memories one by one or by a filter."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.errors import InputError
from neuromem.facades.life import Operations
from neuromem.store.database.users import begin_write
from neuromem.store.memories.query import (
    MEMORY_KEYS,
    MemoryFilter,
    end_memories,
    erase_memories,
    fetch_memory,
    fetch_memory_ids,
    fetch_memory_page,
)
from neuromem.store.memories.update import store_restored, store_update

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.memories import Memory
    from neuromem.store.memories.query import MemoryPage, Order

MAX_LIMIT = 10_000


class Unchanged(Enum):
    """The default of what may be set to None."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED = Unchanged.UNCHANGED


class Memories(Operations):
    """What can be done with single memories."""

    async def get_memory(self, user_id: str, memory_id: str, as_of: datetime | None = None) -> Memory | None:
        """Return a memory as it is, or as it was known then; None when there is none."""
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        moment = validation.moment("as_of", as_of)
        async with self._life.database.reader(user_id, as_of=moment) as transaction:
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

        ``archived=True`` lists what `forget` has put away instead. A list in the order of ``occurred_at`` takes
        ``created_at`` where that is unknown, in the order of ``importance`` 0.
        """
        validation.user_id(user_id)
        if order not in MEMORY_KEYS:
            raise InputError(f"order must be one of {', '.join(MEMORY_KEYS)}, not {order!r}.")
        chosen = _filter(
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
            self._life.database,
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
        """Return the memories learned from ``start_time`` on and before ``end_time`` (now), the newest first."""
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
        """Return the memories learned in the last days, the newest first."""
        since = self._life.clock.now() - timedelta(days=validation.count("days", days, most=100_000))
        return await self.list_memories(user_id, memory_types, limit, created_after=since)

    async def update_memory(
        self,
        user_id: str,
        memory_id: str,
        content: str | None = None,
        *,
        memory_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        importance: float | Unchanged | None = UNCHANGED,
        category: str | Unchanged | None = UNCHANGED,
        occurred_at: datetime | Unchanged | None = UNCHANGED,
        valid_from: datetime | Unchanged | None = UNCHANGED,
        valid_until: datetime | Unchanged | None = UNCHANGED,
        expires_at: datetime | Unchanged | None = UNCHANGED,
        version: int | None = None,
        reason: str | None = None,
    ) -> Memory:
        """Change a memory and return its new version; the old one stays in its history.

        ``version`` is the one that the caller has read: when it is not the current one any more, `ConflictError`
        is raised and nothing changes. ``metadata`` replaces the old one. ``expires_at`` is when neuromem stops
        holding it. Raises `NotFoundError` when there is no such memory.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        changes: dict[str, Any] = {}
        if content is not None:
            changes["content"] = validation.content(
                content, most=self._life.settings.max_content, whose=user_id
            )
        if memory_type is not None:
            changes["memory_type"] = validation.memory_type(memory_type)
        if metadata is not None:
            changes["metadata"] = validation.metadata(metadata)
        if importance is not UNCHANGED:
            changes["importance"] = validation.number("importance", importance, 1, 10)
        if category is not UNCHANGED:
            changes["category"] = validation.optional_text("category", category)
        for name, value in (
            ("occurred_at", occurred_at),
            ("valid_from", valid_from),
            ("valid_until", valid_until),
            ("expires_at", expires_at),
        ):
            if value is not UNCHANGED:
                changes[name] = validation.moment(name, value)
        self._in_the_future(changes.get("expires_at"))
        return await self._change(user_id, wanted, changes, "updated", version, reason)

    async def pin(self, user_id: str, memory_id: str, pinned: bool = True) -> Memory:
        """Keep a memory from being superseded by what is said later, and from being forgotten; or let it go again.

        A person can still change or delete it. Returns the new version.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        return await self._change(
            user_id, wanted, {"pinned": bool(pinned)}, "pinned" if pinned else "unpinned"
        )

    async def delete_memory(self, user_id: str, memory_id: str, erase: bool = False) -> bool:
        """Delete a memory; True when it was there.

        The past still shows it, and `restore_memory` brings it back; ``erase=True`` leaves nothing of it: no
        version, no vector, no word in the index, in the past neither.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        async with self._life.database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            if erase:
                return await erase_memories(transaction, user_id, [wanted]) > 0
            return await end_memories(transaction, user_id, [wanted], now, "deleted") > 0

    async def delete_memories(
        self,
        user_id: str,
        memory_type: str | Sequence[str] | None = None,
        *,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        event_after: datetime | None = None,
        event_before: datetime | None = None,
        max_importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        pinned: bool = False,
        archived: bool = False,
        erase: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Delete what a filter names, at once; returns ``{"deleted": n, "ids": [...]}``.

        Pinned memories are left alone; ``pinned=True`` means them alone. ``dry_run=True`` only says what would
        be deleted. Without any filter nothing is deleted, but `InputError` raised.
        """
        validation.user_id(user_id)
        chosen = _filter(
            memory_type,
            created_after=created_after,
            created_before=created_before,
            event_after=event_after,
            event_before=event_before,
            max_importance=max_importance,
            metadata=metadata,
            archived=archived,
        )
        if not chosen.narrows and not pinned and not archived:
            raise InputError(
                f"delete_memories() without a filter would delete every memory of user {user_id!r}; name what is "
                "meant, or use delete_user_data()."
            )
        chosen = replace(chosen, pinned=pinned)
        async with self._life.database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            ids = await fetch_memory_ids(transaction, user_id, chosen)
            if not dry_run and erase:
                await erase_memories(transaction, user_id, ids)
            elif not dry_run:
                await end_memories(transaction, user_id, ids, now, "deleted")
        return {"deleted": len(ids), "ids": ids}

    async def restore_memory(self, user_id: str, memory_id: str) -> Memory:
        """Bring back a memory that was deleted, forgotten or has expired, as a new version, and return it.

        Raises `NotFoundError` when it never was or was erased, `ConflictError` when another says the same by now.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        restored = await store_restored(self._life.database, user_id, wanted)
        self._life.wake()
        return restored

    async def _change(
        self,
        user_id: str,
        memory_id: str,
        changes: Mapping[str, Any],
        why: str,
        version: int | None = None,
        reason: str | None = None,
    ) -> Memory:
        origin = {"by": "user", "why": validation.optional_text("reason", reason) or why}
        if version is not None:
            validation.count("version", version, most=2_000_000_000)
        changed = await store_update(
            self._life.database,
            user_id,
            memory_id,
            changes,
            expected=version,
            origin=origin,
            why=why,
            tokens=EntryTokenizer(self._life.settings.language),
        )
        self._life.wake()
        return changed

    def _in_the_future(self, expires_at: datetime | None) -> None:
        if expires_at is not None and expires_at <= self._life.clock.now():
            raise InputError(
                f"expires_at {expires_at.isoformat()} is over already; use delete_memory() to end it now."
            )


def _filter(
    memory_type: str | Sequence[str] | None,
    *,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    event_after: datetime | None = None,
    event_before: datetime | None = None,
    min_importance: float | None = None,
    max_importance: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    pinned: bool | None = None,
    archived: bool = False,
    as_of: datetime | None = None,
) -> MemoryFilter:
    types = [memory_type] if isinstance(memory_type, str) else memory_type
    if archived and as_of is not None:
        raise InputError("archived=True speaks of the present; leave as_of away.")
    return MemoryFilter(
        memory_types=None if types is None else tuple(validation.memory_type(one) for one in types),
        created_after=validation.moment("created_after", created_after),
        created_before=validation.moment("created_before", created_before),
        event_after=validation.moment("event_after", event_after),
        event_before=validation.moment("event_before", event_before),
        min_importance=validation.number("min_importance", min_importance, 0, 10),
        max_importance=validation.number("max_importance", max_importance, 0, 10),
        metadata=validation.metadata(metadata),
        pinned=pinned,
        archived=archived,
        as_of=validation.moment("as_of", as_of),
    )
