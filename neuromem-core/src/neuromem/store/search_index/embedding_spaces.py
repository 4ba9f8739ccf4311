"""The life of embedding spaces: announced, filled while another one is active, activated, dropped.

Spaces and jobs belong to the whole schema and are read and written in the worker's scope; vectors are deleted user by
user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from neuromem.errors import EmbeddingSpaceError, NotFoundError
from neuromem.store.database.sql import fill
from neuromem.store.queue.job_kinds import REEMBED
from neuromem.store.search_index.hnsw import drop_orphaned_indexes
from neuromem.store.search_index.vectors import space_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from neuromem.plugin.providers import EmbeddingProvider
    from neuromem.store.database.database import Database, Transaction
    from neuromem.store.database.rows import Row
    from neuromem.store.search_index.vectors import EmbeddingSpace

# Held by every transaction that changes the spaces; it blocks neither reads nor references to them.
LOCK_SPACES = "LOCK TABLE {s}.spaces IN SHARE ROW EXCLUSIVE MODE"

SPACE_COLUMNS = "space, provider, model, dims, revision, baseline_cosine, active, stage, created_at"
SELECT_SPACES = fill("SELECT {columns} FROM {s}.spaces ORDER BY space", columns=SPACE_COLUMNS)
SELECT_SPACE_OF_MODEL = fill(
    """
    SELECT {columns} FROM {s}.spaces
    WHERE provider = :provider AND model = :model AND dims = :dims AND revision = :revision
""",
    columns=SPACE_COLUMNS,
)

ANNOUNCE_SPACE = """
    INSERT INTO {s}.spaces (provider, model, dims, revision, active, stage)
    VALUES (:provider, :model, :dims, :revision, false, 'announced')
    ON CONFLICT (provider, model, dims, revision) DO UPDATE SET stage = 'announced'
"""

# A transaction that began to write before this one may not have seen the announced space; every later one sees it.
SELECT_SNAPSHOT_MARK = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
SELECT_WRITERS_ENDED = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= CAST(CAST(:before AS text) AS xid8)"

# One page of users. Their rows are locked against deletion, which would leave the jobs of a user who is gone.
ENQUEUE_FILL = """
    WITH u AS (
        SELECT user_id, last_entry FROM {s}.users WHERE user_id > :after ORDER BY user_id LIMIT :page FOR KEY SHARE
    ), added AS (
        INSERT INTO {s}.jobs (user_id, kind, capability, payload)
        SELECT u.user_id, 'reembed', :fills, jsonb_build_object('next', 1, 'last', u.last_entry) FROM u
        WHERE u.last_entry > 0
          AND NOT EXISTS (SELECT FROM {s}.jobs j
                          WHERE j.user_id = u.user_id AND j.kind = 'reembed' AND j.capability = :fills)
    )
    SELECT max(user_id) FROM u
"""
MARK_FILLING = "UPDATE {s}.spaces SET stage = 'filling' WHERE space = :space AND stage = 'announced'"
MARK_DROPPING = "UPDATE {s}.spaces SET stage = 'dropping' WHERE space = :space"
DELETE_SPACE = "DELETE FROM {s}.spaces WHERE space = :space"

# Dead jobs are tried again when a space is announced again.
REVIVE_DEAD_JOBS = """
    UPDATE {s}.jobs SET dead = false, attempts = 0, run_after = now()
    WHERE capability = ANY(CAST(:capabilities AS text[])) AND dead
"""

# Ready when nothing is left to fill, and no entry waits for the new space that has a vector in the old one.
SELECT_READY_TO_ACTIVATE = """
    SELECT NOT EXISTS (SELECT FROM {s}.jobs WHERE capability = :fills) AND NOT EXISTS (
        SELECT FROM {s}.jobs n WHERE n.capability = :capability AND NOT n.dead AND NOT EXISTS (
            SELECT FROM {s}.jobs o JOIN {s}.spaces a ON a.active AND o.capability = 'space:' || a.space
            WHERE o.user_id = n.user_id AND o.entry = n.entry AND NOT o.dead))
"""
DEACTIVATE_ACTIVE_SPACE = "UPDATE {s}.spaces SET active = false WHERE active"
ACTIVATE_SPACE = "UPDATE {s}.spaces SET active = true, stage = NULL WHERE space = :space"
DELETE_JOBS = "DELETE FROM {s}.jobs WHERE capability = ANY(CAST(:capabilities AS text[]))"
SELECT_UNWANTED_CAPABILITIES = "SELECT 'space:' || space FROM {s}.spaces WHERE NOT wanted"

SELECT_FILL_PROGRESS = """
    SELECT u.users, u.entries, j.users_left, j.entries_left, j.failed, j.error
    FROM (SELECT count(*) FILTER (WHERE last_entry > 0) AS users, coalesce(sum(last_entry), 0) AS entries
          FROM {s}.users) AS u
    CROSS JOIN (
        SELECT count(*) FILTER (WHERE kind = 'reembed') AS users_left,
               count(*) FILTER (WHERE kind = 'embed' AND NOT dead) + coalesce(sum(
                   (payload ->> 'last')::bigint - (payload ->> 'next')::bigint + 1
               ) FILTER (WHERE kind = 'reembed'), 0) AS entries_left,
               count(*) FILTER (WHERE dead) AS failed,
               (array_agg(error ORDER BY job DESC) FILTER (WHERE error IS NOT NULL))[1] AS error
        FROM {s}.jobs WHERE capability = ANY(CAST(:capabilities AS text[]))
    ) AS j
"""

SELECT_ENTRIES_WITHOUT_VECTOR = """
    SELECT e.entry FROM {s}.entries e
    WHERE e.user_id = :user AND e.entry BETWEEN :next AND :last AND NOT EXISTS (
        SELECT FROM {s}.vectors v WHERE v.user_id = :user AND v.space = :space AND v.entry = e.entry)
    ORDER BY e.entry LIMIT :most
"""

# A text that the provider refuses gets a job of its own, like one that was just stored, so that it delays no other.
ENQUEUE_SINGLE_ENTRIES = """
    INSERT INTO {s}.jobs (user_id, kind, capability, entry)
    SELECT :user, 'embed', :capability, n.entry FROM unnest(CAST(:entries AS int[])) AS n(entry)
"""

SELECT_USERS_WITH_ENTRIES = (
    "SELECT user_id FROM {s}.users WHERE user_id > :after AND last_entry > 0 ORDER BY user_id LIMIT :page"
)
DELETE_VECTORS = """
    WITH centroid AS (DELETE FROM {s}.centroids WHERE user_id = :user AND space = :space)
    DELETE FROM {s}.vectors WHERE user_id = :user AND space = :space AND entry = ANY(ARRAY(
        SELECT entry FROM {s}.vectors WHERE user_id = :user AND space = :space LIMIT :most))
"""

USERS_PER_PAGE = 1_000
VECTORS_PER_DELETE = 10_000  # in one transaction


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """An embedding space and its state.

    Attributes:
        space: The space.
        state: "announced": writers embed for it; "filling": earlier entries are embedded for it, too; "active": it
            is searched; "dropping": its vectors are being deleted; "idle": it was active before, its vectors are kept.
        created_at: When it was announced for the first time.
    """

    space: EmbeddingSpace
    state: Literal["active", "announced", "filling", "dropping", "idle"]
    created_at: datetime

    @property
    def shown(self) -> dict[str, Any]:
        """The space as the public API returns it, without `EmbeddingSpace.baseline_cosine`."""
        space = self.space
        return {
            "space": space.space,
            "provider": space.provider,
            "model": space.model,
            "dims": space.dims,
            "revision": space.revision,
            "state": self.state,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class FillProgress:
    """How far the filling of a space is.

    Attributes:
        entries: The index entries of all users.
        entries_left: How many of them are still to be embedded.
        users: The users with entries.
        users_left: How many of them are not done yet.
        failed: Dead jobs of the space.
        error: The error of the newest dead job; None: there is none.
    """

    entries: int
    entries_left: int
    users: int
    users_left: int
    failed: int
    error: str | None


def fill_capability(space: EmbeddingSpace) -> str:
    """Return the capability that a worker needs to fill a space, as jobs name it."""
    return REEMBED.capability_for(space.space)


async def list_spaces(database: Database) -> list[SpaceStatus]:
    """Return all spaces of the schema, the oldest first."""
    async with database.worker() as transaction:
        return [_space_status(row) for row in await transaction.all(SELECT_SPACES)]


async def announce_space(database: Database, embedding: EmbeddingProvider) -> SpaceStatus:
    """Announce the space of a model, so that all writers embed for it from now on; one that is active stays so.

    Announcing a space again tries its dead jobs again.

    Args:
        database: The database.
        embedding: The model.

    Returns:
        The space as it is after that.

    Raises:
        EmbeddingSpaceError: Another space is being filled, or this one is being dropped.
    """
    model = {
        "provider": embedding.provider,
        "model": embedding.model,
        "dims": embedding.dims,
        "revision": embedding.revision,
    }
    async with database.worker() as transaction:
        await transaction.run(LOCK_SPACES)
        for other in map(_space_status, await transaction.all(SELECT_SPACES)):
            same = all(getattr(other.space, name) == value for name, value in model.items())
            if same and other.state in ("active", "announced", "filling"):
                capabilities = [fill_capability(other.space), other.space.capability]
                await transaction.run(REVIVE_DEAD_JOBS, {"capabilities": capabilities})
                return other
            if same and other.state == "dropping":
                raise EmbeddingSpaceError(
                    f"The space {other.space} of schema {database.schema!r} is being dropped. Let drop_space("
                    f"{other.space.space}) end, or call it again, and then reembed()."
                )
            if not same and other.state in ("announced", "filling"):
                raise EmbeddingSpaceError(
                    f"Schema {database.schema!r} is being re-embedded with {other.space}, and only one space can be "
                    f"filled at a time. Let that end, or give it up with drop_space({other.space.space})."
                )
        await transaction.run(ANNOUNCE_SPACE, model)
        row = await transaction.first(SELECT_SPACE_OF_MODEL, model)
        assert row is not None
        return _space_status(row)


async def snapshot_mark(database: Database) -> str:
    """Return a mark in the order of transactions, for `snapshot_passed`."""
    async with database.worker() as transaction:
        return str(await transaction.value(SELECT_SNAPSHOT_MARK))


async def snapshot_passed(database: Database, mark: str) -> bool:
    """Return whether every transaction that began to write before a mark has ended.

    From then on every writer has seen what was committed before the mark.
    """
    async with database.worker() as transaction:
        return bool(await transaction.value(SELECT_WRITERS_ENDED, {"before": mark}))


async def enqueue_fill(database: Database, space: EmbeddingSpace) -> None:
    """Enqueue the filling of an announced space for every user who has no such job yet."""
    after: str | None = ""
    while after is not None:
        async with database.worker() as transaction:
            after = await transaction.value(
                ENQUEUE_FILL, {"after": after, "page": USERS_PER_PAGE, "fills": fill_capability(space)}
            )
    async with database.worker() as transaction:
        await transaction.run(MARK_FILLING, {"space": space.space})


async def activate_space(database: Database, space: EmbeddingSpace) -> bool:
    """Make a filled space the active one, in one transaction; return False when it is not ready yet.

    Raises:
        EmbeddingSpaceError: The space was dropped meanwhile.
    """
    capabilities = {"fills": fill_capability(space), "capability": space.capability}
    async with database.worker() as transaction:
        # Looked up once without the lock, because most of the time it is not ready.
        if not await transaction.value(SELECT_READY_TO_ACTIVATE, capabilities):
            return False
        await transaction.run(LOCK_SPACES)
        states = {
            one.space.space: one.state for one in map(_space_status, await transaction.all(SELECT_SPACES))
        }
        if states.get(space.space) == "active":
            return True
        if states.get(space.space) not in ("announced", "filling"):
            raise EmbeddingSpaceError(
                f"The space {space} was dropped before it was filled; call reembed() anew."
            )
        if states[space.space] == "announced" or not await transaction.value(
            SELECT_READY_TO_ACTIVATE, capabilities
        ):
            return False
        await transaction.run(DEACTIVATE_ACTIVE_SPACE)
        await transaction.run(ACTIVATE_SPACE, {"space": space.space})
        unwanted = [row[0] for row in await transaction.all(SELECT_UNWANTED_CAPABILITIES)]
        await transaction.run(DELETE_JOBS, {"capabilities": unwanted})
    return True


async def fill_progress(database: Database, space: EmbeddingSpace) -> FillProgress:
    """Return how far the filling of a space is, over all users."""
    async with database.worker() as transaction:
        row = await transaction.first(
            SELECT_FILL_PROGRESS, {"capabilities": [fill_capability(space), space.capability]}
        )
    assert row is not None
    return FillProgress(
        int(row.entries), int(row.entries_left), row.users, row.users_left, row.failed, row.error
    )


async def entries_without_vector(
    transaction: Transaction, user_id: str, space: EmbeddingSpace, first: int, last: int, most: int
) -> list[int]:
    """Return the numbers of the first ``most`` entries from ``first`` to ``last`` that have no vector in a space."""
    rows = await transaction.all(
        SELECT_ENTRIES_WITHOUT_VECTOR,
        {"user": user_id, "space": space.space, "next": first, "last": last, "most": most},
    )
    return [row.entry for row in rows]


async def enqueue_single_entries(
    transaction: Transaction, user_id: str, space: EmbeddingSpace, entries: Sequence[int]
) -> None:
    """Enqueue the embedding of entries in a space, one job for each."""
    await transaction.run(
        ENQUEUE_SINGLE_ENTRIES, {"user": user_id, "capability": space.capability, "entries": list(entries)}
    )


async def mark_dropping(database: Database, number: int) -> EmbeddingSpace:
    """Mark a space that is not active as being dropped; return it.

    Raises:
        NotFoundError: There is no space with this number.
        EmbeddingSpaceError: The space is active.
    """
    async with database.worker() as transaction:
        await transaction.run(LOCK_SPACES)
        found = {
            one.space.space: one for one in map(_space_status, await transaction.all(SELECT_SPACES))
        }.get(number)
        if found is None:
            raise NotFoundError(
                f"Schema {database.schema!r} has no embedding space {number}; spaces() lists them."
            )
        if found.state == "active":
            raise EmbeddingSpaceError(
                f"The space {found.space} is what schema {database.schema!r} is searched by; nothing was dropped. "
                "Change to another with reembed() first."
            )
        await transaction.run(MARK_DROPPING, {"space": number})
    return found.space


async def drop_space(database: Database, space: EmbeddingSpace) -> int:
    """Delete the vectors of a space that was marked as being dropped, then the space; return how many vectors it had.

    Each batch is a transaction of its own, so that an interrupted call can be repeated. No writer embeds for the space
    any more.
    """
    deleted = 0
    async for user_id in _users_with_entries(database):
        more = True
        while more:
            async with database.user(user_id) as transaction:
                n = await transaction.run(
                    DELETE_VECTORS, {"user": user_id, "space": space.space, "most": VECTORS_PER_DELETE}
                )
            deleted += n
            more = n > 0
    async with database.worker() as transaction:
        await transaction.run(LOCK_SPACES)
        await transaction.run(DELETE_JOBS, {"capabilities": [fill_capability(space), space.capability]})
        await transaction.run(DELETE_SPACE, {"space": space.space})
    await drop_orphaned_indexes(database)
    return deleted


async def _users_with_entries(database: Database) -> AsyncIterator[str]:
    after = ""
    while True:
        async with database.worker() as transaction:
            rows = await transaction.all(SELECT_USERS_WITH_ENTRIES, {"after": after, "page": USERS_PER_PAGE})
        if not rows:
            return
        for row in rows:
            yield row.user_id
        after = rows[-1].user_id


def _space_status(row: Row) -> SpaceStatus:
    return SpaceStatus(space_of(row), "active" if row.active else row.stage or "idle", row.created_at)
