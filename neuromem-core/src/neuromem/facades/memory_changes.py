"""Updating, pinning, deleting and restoring memories."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.errors import InputError
from neuromem.facades.memory_filter import checked_filter
from neuromem.store.database.users import begin_write
from neuromem.store.memories.closing import erase_memories
from neuromem.store.memories.query import fetch_memory_ids
from neuromem.store.memories.update import store_restored, store_update
from neuromem.store.memories.versions import end_memories

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from neuromem.config import Settings
    from neuromem.domain.memories import Memory
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database


class Unchanged(Enum):
    """The default of an argument for which None is a value."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED = Unchanged.UNCHANGED


class MemoryChanges:
    """Changes, deletes and restores memories; every change adds a version."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, *, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._wake = wake

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

        What is left out stays as it is; None clears where None is possible.

        Args:
            user_id: Whose memory it is.
            memory_id: The memory's id.
            content: The new statement, at most ``settings.max_content`` characters; it is indexed and embedded again.
            memory_type: The new type.
            metadata: Replaces the old metadata as a whole.
            importance: From 1 to 10, or None.
            category: A name of at most 512 characters, or None.
            occurred_at: When it happened; timezone-aware, or None.
            valid_from: Since when it is true in the world; timezone-aware, or None.
            valid_until: Until when it is true in the world; timezone-aware, or None.
            expires_at: When neuromem stops holding it; in the future, or None.
            version: The version that the caller has read; None: whichever is current.
            reason: Why, at most 512 characters, for the history.

        Returns:
            The new version; the current one when nothing differs.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: The user has no such memory.
            ConflictError: ``version`` is not the current one any more, or another memory says the same already.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        changes: dict[str, Any] = {}
        if content is not None:
            changes["content"] = validation.content(content, most=self._settings.max_content, whose=user_id)
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
        self._check_in_future(changes.get("expires_at"))
        return await self._change(user_id, wanted, changes, "updated", version, reason)

    async def pin(self, user_id: str, memory_id: str, pinned: bool = True) -> Memory:
        """Keep a memory from being superseded by what is said later, and from being forgotten; or unpin it.

        A person can still change or delete a pinned memory.

        Args:
            user_id: Whose memory it is.
            memory_id: The memory's id.
            pinned: False unpins.

        Returns:
            The new version; the current one when nothing differs.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: The user has no such memory.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        return await self._change(
            user_id, wanted, {"pinned": bool(pinned)}, "pinned" if pinned else "unpinned"
        )

    async def delete_memory(self, user_id: str, memory_id: str, erase: bool = False) -> bool:
        """Delete a memory; True when it was there.

        Args:
            user_id: Whose memory it is.
            memory_id: The memory's id.
            erase: Delete every version, vector and index entry, from the past too. Otherwise the past still shows the
                memory, and `restore_memory` brings it back.

        Returns:
            Whether there was such a memory.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        async with self._database.user(user_id) as transaction:
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
        """Delete what a filter names, in one transaction; returns ``{"deleted": n, "ids": [...]}``.

        Args:
            user_id: Whose memories.
            memory_type: One type or several; None: all.
            created_after: Learned at this moment or later.
            created_before: Learned earlier than this moment.
            event_after: ``occurred_at`` at this moment or later; a memory without one is left alone.
            event_before: ``occurred_at`` earlier than this moment; a memory without one is left alone.
            max_importance: At most this important, 0 to 10; unknown counts as 0.
            metadata: Keys and values that the memory's metadata contains.
            pinned: Delete pinned memories only; otherwise they are left alone.
            archived: Delete from what `forget` archived instead of from what holds.
            erase: Leave nothing in the past either, as in `delete_memory`.
            dry_run: Only say what would be deleted.

        Returns:
            ``deleted``, how many, and ``ids``, which.

        Raises:
            InputError: An argument cannot be used, or there is no filter at all; nothing was deleted.
        """
        validation.user_id(user_id)
        chosen = checked_filter(
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
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            ids = await fetch_memory_ids(transaction, user_id, chosen)
            if not dry_run and erase:
                await erase_memories(transaction, user_id, ids)
            elif not dry_run:
                await end_memories(transaction, user_id, ids, now, "deleted")
        return {"deleted": len(ids), "ids": ids}

    async def restore_memory(self, user_id: str, memory_id: str) -> Memory:
        """Bring back a memory that was deleted, archived or has expired, as a new version, and return it.

        Args:
            user_id: Whose memory it is.
            memory_id: The memory's id.

        Returns:
            The new version; the current one of a memory that holds.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: There never was such a memory, or it was erased.
            ConflictError: Another memory says the same by now.
        """
        validation.user_id(user_id)
        wanted = validation.uuid("memory_id", memory_id)
        restored = await store_restored(self._database, user_id, wanted)
        self._wake()
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
            self._database,
            user_id,
            memory_id,
            changes,
            expected=version,
            origin=origin,
            why=why,
            tokens=EntryTokenizer(self._settings.language),
        )
        self._wake()
        return changed

    def _check_in_future(self, expires_at: datetime | None) -> None:
        if expires_at is not None and expires_at <= self._clock.now():
            raise InputError(
                f"expires_at {expires_at.isoformat()} is over already; use delete_memory() to end it now."
            )
