"""What a user's data is worth, and how it comes and goes as a whole."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neuromem.domain import checks
from neuromem.facades.life import Operations
from neuromem.store import entities, index, leaving, managing, statistics

if TYPE_CHECKING:
    from neuromem.domain.memories import Memory

MAX_DAYS = 100_000


class Owning(Operations):
    """What can be asked of and done with all that is known of a user."""

    async def stats(self, user_id: str) -> dict[str, Any]:
        """Return numbers about a user.

        ``memories`` in all, ``by_type``, ``by_week`` (Mondays, UTC, by when they were first learned), ``pinned``,
        ``archived``; ``messages, sessions, open_sessions, entities, relations, documents``; ``queue`` by kind of
        work with ``waiting, running, failed, dead``; ``profile`` by key with the number of values; ``insights`` by
        stage, ``undigested`` memories, and ``emotions`` with ``memories, valence_avg, dominant``.
        """
        return await statistics.stats(self._life.database, checks.user_id(user_id))

    async def set_language(self, user_id: str, language: str | None) -> None:
        """Say what a user writes in, such as "de" or "pt-BR"; None: ``settings.language``.

        Stemming and stop words follow it, for what is stored from now on and for questions; ``language=`` of `ingest`
        and `recall` overrides it for one call. What was stored before keeps the words it was indexed by, so say it
        first. A language without a stemmer is indexed by whole words, scripts without spaces by characters.
        """
        checks.user_id(user_id)
        async with self._life.database.user(user_id) as transaction:
            await index.begin(transaction, user_id)
            await index.speak(transaction, user_id, checks.language(language))

    async def cold_memories(self, user_id: str, threshold_days: int = 90, limit: int = 50) -> list[Memory]:
        """Return the memories that no recall returned for so many days, those unused for longest first.

        A memory that was learned, changed or said again in that time is not cold.
        """
        checks.user_id(user_id)
        days = checks.number("threshold_days", threshold_days, 0, MAX_DAYS) or 0.0
        await self._life.accesses.flush(user_id)
        return await statistics.cold(
            self._life.database, user_id, timedelta(days=days), checks.count("limit", limit, most=10_000)
        )

    async def forget(
        self, user_id: str, *, unused_days: float = 90, older_than_days: float = 180, max_importance: float = 3,
        dry_run: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Put away what is unused, old and unimportant, all three; returns ``{"archived": n, "ids": [...]}``.

        Nothing is destroyed: ``list_memories(archived=True)`` shows what was put away, `restore_memory` brings it
        back. Pinned memories stay; of unknown importance is 5. Nothing is ever forgotten unless this is called.
        """
        checks.user_id(user_id)
        days = [
            checks.number(name, value, 0, MAX_DAYS) or 0.0
            for name, value in (("unused_days", unused_days), ("older_than_days", older_than_days))
        ]
        most = checks.number("max_importance", max_importance, 0, 10) or 0.0
        await self._life.accesses.flush(user_id)
        async with self._life.database.user(user_id) as transaction:
            now = (await index.begin(transaction, user_id)).now
            ids = await statistics.forgettable(
                transaction, user_id, unused=timedelta(days=days[0]), age=timedelta(days=days[1]), most=most
            )
            if not dry_run:
                await managing.end(transaction, user_id, ids, now, "archived")
        return {"archived": len(ids), "ids": ids}

    async def entity_profile(self, user_id: str, entity: str) -> dict[str, Any]:
        """Return what is known of somebody or something: by its name or an alias, in whatever case.

        ``entity`` is the name as it was first given, ``aliases`` its others; ``facts`` are memories about it,
        ``relations`` edges of the graph, former ones included, ``messages`` those that name it; ``timeline`` has all
        of them as ``{"at", "kind", "id", "content"}``, the earliest first.
        """
        checks.user_id(user_id)
        return await entities.profile(
            self._life.database, user_id, checks.identifier("entity", entity), self._life.settings.language
        )

    async def delete_user_data(self, user_id: str) -> dict[str, dict[str, int]]:
        """Delete everything of a user, at once and for good; returns ``{"deleted": {table: rows}}``.

        Pending work is deleted as well. Objects of files follow, tried again until they are gone:
        `verify_deleted` tells when. What is said by the user after that begins anew.
        """
        checks.user_id(user_id)
        deleted = await leaving.delete(self._life.database, user_id)
        self._life.wake()
        return {"deleted": deleted}

    async def verify_deleted(self, user_id: str) -> dict[str, int]:
        """Return what is left of a user: ``{"rows": n, "objects_pending": m}``, asked of every table there is."""
        rows, pending = await leaving.left(self._life.database, checks.user_id(user_id))
        return {"rows": rows, "objects_pending": pending}
