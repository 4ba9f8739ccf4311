"""Two clocks: what was known when, what changed since, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import InputError, NotFoundError
from neuromem.facades.life import Operations
from neuromem.store.memories.history import diff_user, memory_versions, roll_back_user

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.domain.memories import MemoryVersion


class History(Operations):
    """What can be asked of the past."""

    async def memory_history(self, user_id: str, memory_id: str) -> list[MemoryVersion]:
        """Return every version of a memory, the first one first: who made it, why, and why it ended.

        Raises `NotFoundError` when the user never had such a memory, or it was erased.
        """
        validation.user_id(user_id)
        found = await memory_versions(self._life.database, user_id, validation.uuid("memory_id", memory_id))
        if not found:
            raise NotFoundError(f"User {user_id!r} has no memory {memory_id!r}, in the past neither.")
        return found

    async def diff(self, user_id: str, t1: datetime, t2: datetime | None = None) -> dict[str, Any]:
        """Return what was learned, changed and forgotten between two moments; ``t2`` is now when left away.

        ``learned`` and ``forgotten`` are lists of memories, ``changed`` one of ``{"before", "after", "by", "why"}``;
        ``relations`` and ``profile`` have the same three keys, each a dict by the relation's id or the key. What
        came and went between the two moments is in none of them.
        """
        validation.user_id(user_id)
        begin, end = _moment("t1", t1), _moment("t2", self._life.clock.now() if t2 is None else t2)
        if end < begin:
            raise InputError(f"t2 {end.isoformat()} lies before t1 {begin.isoformat()}.")
        return await diff_user(self._life.database, user_id, begin, end)

    async def rollback_memories(self, user_id: str, to_time: datetime) -> dict[str, int]:
        """Bring memories, relations and the profile back to what was known at a moment.

        Nothing is lost: what came since then is superseded, what held then comes back as a new version, and the
        state before the rollback is one rollback away. Messages and documents stay as they are. Returns
        ``{"rolled_back", "reactivated"}``, the number of versions (of memories, relations and keys of the profile) that
        were ended and brought back.
        """
        validation.user_id(user_id)
        to = _moment("to_time", to_time)
        ended, back = await roll_back_user(self._life.database, user_id, to)
        self._life.wake()
        return {"rolled_back": ended, "reactivated": back}


def _moment(name: str, value: datetime) -> datetime:
    moment = validation.moment(name, value)
    if moment is None:
        raise InputError(f"{name} must be a datetime with a time zone, not None.")
    return moment
