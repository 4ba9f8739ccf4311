"""What recall knows of a user before and beside the looking: kept for the last users, and read anew each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.bounded_cache import BoundedCache
from neuromem.domain.kv import PROFILE
from neuromem.domain.query import UserSnapshot
from neuromem.store.database.database import PLANNER_GENERIC
from neuromem.store.database.sql import Fragment, fill
from neuromem.store.kv.kv import kv_visible
from neuromem.store.queue.job_kinds import NOT_PENDING
from neuromem.store.search_index.hnsw import INDEX_READY

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

KEPT = 1_024  # users
SPEAKERS = 50  # names that a question is searched for

SNAPSHOT = """
    SELECT u.language, coalesce(u.last_entry, 0) AS last_entry, coalesce(u.extracted, false) AS extracted,
           s.space, s.baseline_cosine,
           (SELECT coalesce(sum(entries), 0) FROM {s}.corpora WHERE user_id = :user) AS entries,
           ARRAY(SELECT name FROM {s}.speakers WHERE user_id = :user
                 ORDER BY messages DESC, name LIMIT :speakers) AS speakers,
           (SELECT count(*) FROM {s}.jobs
            WHERE user_id = :user AND NOT dead AND kind <> ALL({not_pending})
              AND capability <> ALL(ARRAY(SELECT 'space:' || space FROM {s}.spaces WHERE NOT active))) AS pending,
           (SELECT json_object_agg(key, value ORDER BY key) FROM {s}.kv
            WHERE user_id = :user AND namespace = :namespace AND {visible}) AS profile,
           CASE WHEN u.last_entry > CAST(:exact_limit AS bigint) THEN {indexed} ELSE false END AS indexed
    FROM (SELECT) AS one LEFT JOIN {s}.users u ON u.user_id = :user LEFT JOIN {s}.spaces s ON s.active
"""


def snapshot_query(as_of: datetime | None, exact_limit: int) -> Fragment:
    """Return the statement that reads a user's snapshot in one row; it needs ``:user``.

    Args:
        as_of: The moment at which the profile is read; None is now.
        exact_limit: Entries above which the column ``indexed`` tells whether the user has an HNSW index.
    """
    statement = fill(SNAPSHOT, visible=kv_visible(as_of), indexed=INDEX_READY, not_pending=NOT_PENDING)
    own = {"speakers": SPEAKERS, "namespace": PROFILE, "exact_limit": exact_limit}
    return Fragment(statement.sql, {**statement.parameters, **own})


class UserSnapshots:
    """What is known of the users who asked last."""

    def __init__(self, database: Database, exact_limit: int) -> None:
        self._database = database
        self.exact_limit = exact_limit
        self._indexed: BoundedCache[str, bool] = BoundedCache(KEPT)
        self._abouts: BoundedCache[str, UserSnapshot] = BoundedCache(KEPT)

    def last(self, user_id: str) -> UserSnapshot | None:
        """Return what the last answer knew of a user."""
        return self._abouts.get(user_id)

    def indexed(self, user_id: str) -> bool:
        """Tell whether a user's vectors were so many that they had an index of their own, when last asked."""
        return self._indexed.get(user_id) or False

    async def before(self, user_id: str) -> UserSnapshot:
        """Return what the last answer knew of a user, else read it.

        Speakers and language are all that is needed before a question is embedded, and they hardly change; each
        answer reads them anew for the next.
        """
        known = self._abouts.get(user_id)
        if known is None:
            async with self._database.reader(user_id, settings=PLANNER_GENERIC) as transaction:
                known = await self.read(transaction, user_id, None)
        return known

    async def read(self, transaction: Transaction, user_id: str, as_of: datetime | None) -> UserSnapshot:
        """Read what is known of a user, the profile as it was ``as_of``."""
        rows = await transaction.all(snapshot_query(as_of, self.exact_limit), {"user": user_id})
        return self.learn(user_id, rows[0])

    def learn(self, user_id: str, row: Row) -> UserSnapshot:
        """Return the snapshot in a row of `snapshot_query`, and keep it for the next question."""
        known = UserSnapshot(
            speakers=tuple(row["speakers"]),
            language=row["language"],
            pending=row["pending"],
            last_entry=row["last_entry"],
            entries=row["entries"],
            profile=row["profile"] or {},
            extracted=row["extracted"],
            space=row["space"],
            baseline_cosine=row["baseline_cosine"],
        )
        self._abouts.put(user_id, known)
        self._indexed.put(user_id, row.indexed)
        return known
