"""The user snapshot: what recall knows of a user without searching.

Every answer reads it in its hybrid query, and the last one is kept for the start of the next answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.bounded_cache import BoundedCache
from neuromem.domain.kv import PROFILE
from neuromem.domain.query import UserSnapshot
from neuromem.store.database.planner_settings import PLANNER_GENERIC
from neuromem.store.database.sql import Fragment, fill
from neuromem.store.kv.kv import kv_visible
from neuromem.store.queue.job_kinds import NOT_PENDING
from neuromem.store.search_index.hnsw import INDEX_READY

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row

CACHED_USERS = 1_024
MAX_SPEAKERS = 50  # names that are looked for in a question

SELECT_SNAPSHOT = """
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
    statement = fill(SELECT_SNAPSHOT, visible=kv_visible(as_of), indexed=INDEX_READY, not_pending=NOT_PENDING)
    own = {"speakers": MAX_SPEAKERS, "namespace": PROFILE, "exact_limit": exact_limit}
    return Fragment(statement.sql, {**statement.parameters, **own})


class UserSnapshots:
    """A cache of the snapshots of the users who asked last.

    Args:
        database: The database.
        exact_limit: Entries above which it is of interest whether a user has an HNSW index.
    """

    def __init__(self, database: Database, exact_limit: int) -> None:
        self._database = database
        self.exact_limit = exact_limit
        self._has_hnsw_index: BoundedCache[str, bool] = BoundedCache(CACHED_USERS)
        self._snapshots: BoundedCache[str, UserSnapshot] = BoundedCache(CACHED_USERS)

    def last(self, user_id: str) -> UserSnapshot | None:
        """Return the snapshot of the user's last answer; None when it is not kept."""
        return self._snapshots.get(user_id)

    def has_hnsw_index(self, user_id: str) -> bool:
        """Return whether the user had an HNSW index, ready to use, at the last answer."""
        return self._has_hnsw_index.get(user_id) or False

    async def last_or_read(self, user_id: str) -> UserSnapshot:
        """Return the snapshot of the user's last answer; where it is not kept, read it.

        Before a question is embedded, only speakers and language are needed; these hardly change, and each answer
        reads them for the next.
        """
        snapshot = self._snapshots.get(user_id)
        if snapshot is None:
            async with self._database.reader(user_id, settings=PLANNER_GENERIC) as transaction:
                snapshot = await self.read(transaction, user_id, None)
        return snapshot

    async def read(self, transaction: Transaction, user_id: str, as_of: datetime | None) -> UserSnapshot:
        """Read the snapshot of a user and keep it.

        Args:
            transaction: A transaction of the user.
            user_id: The user.
            as_of: The moment at which the profile is read; None is now.
        """
        rows = await transaction.all(snapshot_query(as_of, self.exact_limit), {"user": user_id})
        return self.keep_row(user_id, rows[0])

    def keep_row(self, user_id: str, row: Row) -> UserSnapshot:
        """Return the snapshot in a row of `snapshot_query`, and keep it for the next question."""
        snapshot = UserSnapshot(
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
        self._snapshots.put(user_id, snapshot)
        self._has_hnsw_index.put(user_id, row["indexed"])
        return snapshot
