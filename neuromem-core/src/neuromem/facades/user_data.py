"""A user's data as a whole: numbers, language, forgetting, deletion."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.store.database.users import begin_write, set_language
from neuromem.store.memories.unused import forgettable_ids, unused_memories
from neuromem.store.memories.versions import end_memories
from neuromem.store.queue.token_usage import total_token_usage
from neuromem.store.retrieval.entity_profile import read_entity_profile
from neuromem.store.user_data.delete import count_remaining, delete_user
from neuromem.store.user_data.stats import user_stats

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from neuromem.config import Settings
    from neuromem.domain.memories import Memory
    from neuromem.store.database.database import Database
    from neuromem.store.memories.access_counts import AccessCounts

MAX_DAYS = 100_000
MAX_LIMIT = 10_000


class UserData:
    """Reads and changes all that is known of a user together."""

    def __init__(
        self, database: Database, settings: Settings, accesses: AccessCounts, *, wake: Callable[[], None]
    ) -> None:
        self._database = database
        self._settings = settings
        self._accesses = accesses
        self._wake = wake

    async def stats(self, user_id: str) -> dict[str, Any]:
        """Return numbers about a user.

        Args:
            user_id: The user.

        Returns:
            ``memories`` in all, ``by_type``, ``by_week`` (Mondays, UTC, by when they were first learned), ``pinned``,
            ``archived``; ``messages, sessions, open_sessions, entities, relations, documents``; ``queue`` by kind of
            job with ``waiting, running, failed, dead``; ``profile`` by key with the number of values; ``insights`` by
            stage, ``undigested`` memories, and ``emotions`` with ``memories, valence_avg, dominant``.

        Raises:
            InputError: ``user_id`` cannot be used.
        """
        return await user_stats(self._database, validation.user_id(user_id))

    async def usage(self, user_id: str, since: datetime | None = None) -> dict[str, dict[str, int]]:
        """Return what LLM calls for a user cost, by operation, since the day (UTC) of a moment.

        Args:
            user_id: The user.
            since: A moment of the first day (UTC) that counts; timezone-aware. None: from the beginning.

        Returns:
            By operation ``calls, failures, prompt_tokens, completion_tokens``. A call whose provider reports no tokens
            counts with 0 tokens.

        Raises:
            InputError: An argument cannot be used.
        """
        return await total_token_usage(
            self._database, validation.user_id(user_id), validation.moment("since", since)
        )

    async def set_language(self, user_id: str, language: str | None) -> None:
        """Set the language a user writes in, such as "de" or "pt-BR"; None: ``settings.language``.

        Stemming and stop words follow it, for what is stored from now on and for questions; ``language=`` of `ingest`
        and `recall` overrides it for one call. What was stored before keeps the words it was indexed by, so set it
        first.

        Args:
            user_id: The user.
            language: A language tag. A language without a stemmer is indexed by whole words, a script without spaces
                by characters.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        async with self._database.user(user_id) as transaction:
            await begin_write(transaction, user_id)
            await set_language(transaction, user_id, validation.language(language))

    async def cold_memories(self, user_id: str, threshold_days: int = 90, limit: int = 50) -> list[Memory]:
        """Return the memories that no recall returned for so many days, those unused for longest first.

        A memory that was learned, changed or said again in that time is not cold.

        Args:
            user_id: Whose memories.
            threshold_days: Days without use, 0 to 100,000.
            limit: How many at most, 1 to 10,000.

        Returns:
            The memories.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        days = validation.number("threshold_days", threshold_days, 0, MAX_DAYS) or 0.0
        await self._accesses.flush(user_id)
        return await unused_memories(
            self._database, user_id, timedelta(days=days), validation.count("limit", limit, most=MAX_LIMIT)
        )

    async def forget(
        self,
        user_id: str,
        *,
        unused_days: float = 90,
        older_than_days: float = 180,
        max_importance: float = 3,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Archive what is unused, old and unimportant, all three; returns ``{"archived": n, "ids": [...]}``.

        Nothing is destroyed: ``list_memories(archived=True)`` lists what was archived, `restore_memory` brings it
        back. Pinned memories stay. Nothing is ever forgotten unless this is called.

        Args:
            user_id: Whose memories.
            unused_days: Days in which no recall returned it and nobody learned, changed or said it, 0 to 100,000.
            older_than_days: Days since it happened (``occurred_at``, else ``created_at``), 0 to 100,000.
            max_importance: At most this important, 0 to 10; unknown counts as 5.
            dry_run: Only say what would be archived.

        Returns:
            ``archived``, how many, and ``ids``, which.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        days = [
            validation.number(name, value, 0, MAX_DAYS) or 0.0
            for name, value in (("unused_days", unused_days), ("older_than_days", older_than_days))
        ]
        most = validation.number("max_importance", max_importance, 0, 10) or 0.0
        await self._accesses.flush(user_id)
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            ids = await forgettable_ids(
                transaction, user_id, unused=timedelta(days=days[0]), age=timedelta(days=days[1]), most=most
            )
            if not dry_run:
                await end_memories(transaction, user_id, ids, now, "archived")
        return {"archived": len(ids), "ids": ids}

    async def entity_profile(self, user_id: str, entity: str) -> dict[str, Any]:
        """Return what is known of somebody or something: by its name or an alias, in whatever case.

        Args:
            user_id: Whose memories, graph and messages.
            entity: A name of at most 512 characters.

        Returns:
            ``entity``, the name as it was first given, and ``aliases``, its others; ``facts``, memories about it;
            ``relations``, edges of the graph, former ones included; ``messages`` that name it; at most 500 of each.
            ``timeline`` has all of them as ``{"at", "kind", "id", "content"}``, the earliest first.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        return await read_entity_profile(
            self._database, user_id, validation.identifier("entity", entity), self._settings.language
        )

    async def delete_user_data(self, user_id: str) -> dict[str, dict[str, int]]:
        """Delete everything of a user, at once and for good; returns ``{"deleted": {table: rows}}``.

        Pending jobs are deleted as well. The objects of files are deleted in the background, tried again until they
        are gone: `verify_deleted` says when. Messages stored after that begin a new history.

        Args:
            user_id: The user.

        Returns:
            ``deleted``, the number of rows by table.

        Raises:
            InputError: ``user_id`` cannot be used.
        """
        validation.user_id(user_id)
        deleted = await delete_user(self._database, user_id)
        self._wake()
        return {"deleted": deleted}

    async def verify_deleted(self, user_id: str) -> dict[str, int]:
        """Return what is left of a user: ``{"rows": n, "objects_pending": m}``, counted in every table there is.

        Args:
            user_id: The user.

        Returns:
            ``rows`` of the user, and ``objects_pending``, objects of files that are still to be deleted.

        Raises:
            InputError: ``user_id`` cannot be used.
        """
        rows, pending = await count_remaining(self._database, validation.user_id(user_id))
        return {"rows": rows, "objects_pending": pending}
