"""The versions of a memory, what changed between two moments, and rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import InputError, NotFoundError
from neuromem.store.memories.history import diff_user, memory_versions, roll_back_user

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from neuromem.domain.memories import MemoryVersion
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database


class History:
    """Answers questions about the past and brings it back."""

    def __init__(self, database: Database, clock: Clock, *, wake: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    async def memory_history(self, user_id: str, memory_id: str) -> list[MemoryVersion]:
        """Return every version of a memory, the first one first: who made it, why, and why it ended.

        Args:
            user_id: Whose memory it is.
            memory_id: The memory's id.

        Returns:
            The versions, superseded ones and the current one.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: The user never had such a memory, or it was erased.
        """
        validation.user_id(user_id)
        found = await memory_versions(self._database, user_id, validation.uuid("memory_id", memory_id))
        if not found:
            raise NotFoundError(f"User {user_id!r} has no memory {memory_id!r}, in the past neither.")
        return found

    async def diff(self, user_id: str, t1: datetime, t2: datetime | None = None) -> dict[str, Any]:
        """Return what was learned, changed and forgotten between two moments; ``t2`` is now when left away.

        What came and went between the two moments is not in the answer.

        Args:
            user_id: Whose memories, relations and profile.
            t1: The earlier moment; timezone-aware.
            t2: The later moment; timezone-aware. None: now.

        Returns:
            ``learned`` and ``forgotten``, lists of memories; ``changed``, a list of ``{"before", "after", "by",
            "why"}``; ``relations`` and ``profile``, each with the same three keys, whose values are dicts by the
            relation's id or the profile's key.

        Raises:
            InputError: An argument cannot be used, or ``t2`` lies before ``t1``.
        """
        validation.user_id(user_id)
        begin, end = _required("t1", t1), _required("t2", self._clock.now() if t2 is None else t2)
        if end < begin:
            raise InputError(f"t2 {end.isoformat()} lies before t1 {begin.isoformat()}.")
        return await diff_user(self._database, user_id, begin, end)

    async def rollback_memories(self, user_id: str, to_time: datetime) -> dict[str, int]:
        """Bring memories, relations and the profile back to what was known at a moment.

        Nothing is lost: what came since then is superseded, what held then comes back as a new version, and the
        state before the rollback is one rollback away. Messages and documents stay as they are.

        Args:
            user_id: Whose memories, relations and profile.
            to_time: The moment to go back to; timezone-aware.

        Returns:
            ``rolled_back`` and ``reactivated``: how many versions (of memories, relations and keys of the profile) were
            ended and brought back.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        to = _required("to_time", to_time)
        ended, back = await roll_back_user(self._database, user_id, to)
        self._wake()
        return {"rolled_back": ended, "reactivated": back}


def _required(name: str, value: datetime) -> datetime:
    """Return a timezone-aware datetime that may not be None."""
    moment = validation.moment(name, value)
    if moment is None:
        raise InputError(f"{name} must be a datetime with a time zone, not None.")
    return moment
