"""What a user's data is worth, and how it comes and goes as a whole."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.facades.life import Operations
from neuromem.store.database.users import begin_write, set_language
from neuromem.store.memories.query import end_memories
from neuromem.store.retrieval.entity_profile import read_entity_profile
from neuromem.store.user_data.delete import count_remaining, delete_user
from neuromem.store.user_data.stats import forgettable_ids, unused_memories, user_stats

if TYPE_CHECKING:
    from neuromem.domain.memories import Memory

MAX_DAYS = 100_000


class UserData(Operations):
    """What can be asked of and done with all that is known of a user."""

    async def stats(self, user_id: str) -> dict[str, Any]:
        """Return numbers about a user.

        ``memories`` in all, ``by_type``, ``by_week`` (Mondays, UTC, by when they were first learned), ``pinned``,
        ``archived``; ``messages, sessions, open_sessions, entities, relations, documents``; ``queue`` by kind of
        work with ``waiting, running, failed, dead``; ``profile`` by key with the number of values; ``insights`` by
        stage, ``undigested`` memories, and ``emotions`` with ``memories, valence_avg, dominant``.
        """
        return await user_stats(self._life.database, validation.user_id(user_id))

    async def set_language(self, user_id: str, language: str | None) -> None:
        """Say what a user writes in, such as "de" or "pt-BR"; None: ``settings.language``.

        Stemming and stop words follow it, for what is stored from now on and for questions; ``language=`` of `ingest`
        and `recall` overrides it for one call. What was stored before keeps the words it was indexed by, so say it
        first. A language without a stemmer is indexed by whole words, scripts without spaces by characters.
        """
        validation.user_id(user_id)
        async with self._life.database.user(user_id) as transaction:
            await begin_write(transaction, user_id)
            await set_language(transaction, user_id, validation.language(language))

    async def cold_memories(self, user_id: str, threshold_days: int = 90, limit: int = 50) -> list[Memory]:
        """Return the memories that no recall returned for so many days, those unused for longest first.

        A memory that was learned, changed or said again in that time is not cold.
        """
        validation.user_id(user_id)
        days = validation.number("threshold_days", threshold_days, 0, MAX_DAYS) or 0.0
        await self._life.accesses.flush(user_id)
        return await unused_memories(
            self._life.database, user_id, timedelta(days=days), validation.count("limit", limit, most=10_000)
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
        """Put away what is unused, old and unimportant, all three; returns ``{"archived": n, "ids": [...]}``.

        Nothing is destroyed: ``list_memories(archived=True)`` shows what was put away, `restore_memory` brings it
        back. Pinned memories stay; of unknown importance is 5. Nothing is ever forgotten unless this is called.
        """
        validation.user_id(user_id)
        days = [
            validation.number(name, value, 0, MAX_DAYS) or 0.0
            for name, value in (("unused_days", unused_days), ("older_than_days", older_than_days))
        ]
        most = validation.number("max_importance", max_importance, 0, 10) or 0.0
        await self._life.accesses.flush(user_id)
        async with self._life.database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            ids = await forgettable_ids(
                transaction, user_id, unused=timedelta(days=days[0]), age=timedelta(days=days[1]), most=most
            )
            if not dry_run:
                await end_memories(transaction, user_id, ids, now, "archived")
        return {"archived": len(ids), "ids": ids}

    async def entity_profile(self, user_id: str, entity: str) -> dict[str, Any]:
        """Return what is known of somebody or something: by its name or an alias, in whatever case.

        ``entity`` is the name as it was first given, ``aliases`` its others; ``facts`` are memories about it,
        ``relations`` edges of the graph, former ones included, ``messages`` those that name it; ``timeline`` has all
        of them as ``{"at", "kind", "id", "content"}``, the earliest first.
        """
        validation.user_id(user_id)
        return await read_entity_profile(
            self._life.database,
            user_id,
            validation.identifier("entity", entity),
            self._life.settings.language,
        )

    async def delete_user_data(self, user_id: str) -> dict[str, dict[str, int]]:
        """Delete everything of a user, at once and for good; returns ``{"deleted": {table: rows}}``.

        Pending work is deleted as well. Objects of files follow, tried again until they are gone:
        `verify_deleted` tells when. What is said by the user after that begins anew.
        """
        validation.user_id(user_id)
        deleted = await delete_user(self._life.database, user_id)
        self._life.wake()
        return {"deleted": deleted}

    async def verify_deleted(self, user_id: str) -> dict[str, int]:
        """Return what is left of a user: ``{"rows": n, "objects_pending": m}``, asked of every table there is."""
        rows, pending = await count_remaining(self._life.database, validation.user_id(user_id))
        return {"rows": rows, "objects_pending": pending}
