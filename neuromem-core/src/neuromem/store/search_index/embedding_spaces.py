"""The life of embedding spaces: announced, filled beside the active one, switched to, dropped.

Spaces and jobs belong to the whole schema and are reached in the queue's scope; vectors are deleted user by user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from neuromem.errors import EmbeddingSpaceError, NotFoundError
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

# Only one may change the spaces at a time; who reads them or refers to them goes on.
LOCK = "LOCK TABLE {s}.spaces IN SHARE ROW EXCLUSIVE MODE"

COLUMNS = "space, provider, model, dims, revision, baseline_cosine, active, stage, created_at"
LIST = f"SELECT {COLUMNS} FROM {{s}}.spaces ORDER BY space"
NAMED = f"""
    SELECT {COLUMNS} FROM {{s}}.spaces
    WHERE provider = :provider AND model = :model AND dims = :dims AND revision = :revision
"""

ANNOUNCE = """
    INSERT INTO {s}.spaces (provider, model, dims, revision, active, stage)
    VALUES (:provider, :model, :dims, :revision, false, 'announced')
    ON CONFLICT (provider, model, dims, revision) DO UPDATE SET stage = 'announced'
"""

# Whoever began to write before now may not have seen what was announced; whoever begins later has.
NOW = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
SETTLED = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= CAST(CAST(:before AS text) AS xid8)"

# Users page by page. Locked against being deleted meanwhile, which would leave work of somebody who is gone.
ENQUEUE = """
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
FILLING = "UPDATE {s}.spaces SET stage = 'filling' WHERE space = :space AND stage = 'announced'"

# What failed for good is tried again when somebody asks for it again.
REVIVE = """
    UPDATE {s}.jobs SET dead = false, attempts = 0, run_after = now()
    WHERE capability = ANY(CAST(:capabilities AS text[])) AND dead
"""

# Ready when nothing is left to fill, and nothing waits for the new space that the old one has already.
READY = """
    SELECT NOT EXISTS (SELECT FROM {s}.jobs WHERE capability = :fills) AND NOT EXISTS (
        SELECT FROM {s}.jobs n WHERE n.capability = :capability AND NOT n.dead AND NOT EXISTS (
            SELECT FROM {s}.jobs o JOIN {s}.spaces a ON a.active AND o.capability = 'space:' || a.space
            WHERE o.user_id = n.user_id AND o.entry = n.entry AND NOT o.dead))
"""
END = "UPDATE {s}.spaces SET active = false WHERE active"
BEGIN = "UPDATE {s}.spaces SET active = true, stage = NULL WHERE space = :space"
FORGET_WORK = "DELETE FROM {s}.jobs WHERE capability = ANY(CAST(:capabilities AS text[]))"
UNWANTED = "SELECT 'space:' || space FROM {s}.spaces WHERE NOT wanted"

PROGRESS = """
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

MISSING = """
    SELECT e.entry FROM {s}.entries e
    WHERE e.user_id = :user AND e.entry BETWEEN :next AND :last AND NOT EXISTS (
        SELECT FROM {s}.vectors v WHERE v.user_id = :user AND v.space = :space AND v.entry = e.entry)
    ORDER BY e.entry LIMIT :most
"""

# A text that the provider refuses holds nobody up: it is tried by itself, like one that was just stored.
APART = """
    INSERT INTO {s}.jobs (user_id, kind, capability, entry)
    SELECT :user, 'embed', :capability, n.entry FROM unnest(CAST(:entries AS int[])) AS n(entry)
"""

USERS = "SELECT user_id FROM {s}.users WHERE user_id > :after AND last_entry > 0 ORDER BY user_id LIMIT :page"
DELETE = """
    WITH middle AS (DELETE FROM {s}.centroids WHERE user_id = :user AND space = :space)
    DELETE FROM {s}.vectors WHERE user_id = :user AND space = :space AND entry = ANY(ARRAY(
        SELECT entry FROM {s}.vectors WHERE user_id = :user AND space = :space LIMIT :most))
"""

PAGE = 1_000  # users
BATCH = 10_000  # vectors deleted in one transaction


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """A space and where it is on its way."""

    space: EmbeddingSpace
    state: Literal["active", "announced", "filling", "dropping", "idle"]
    created_at: datetime

    @property
    def shown(self) -> dict[str, Any]:
        """The space as its user sees it."""
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
    """How far filling is: index entries and users, and what failed for good with its last reason."""

    entries: int
    entries_left: int
    users: int
    users_left: int
    failed: int
    error: str | None


def fill_capability(space: EmbeddingSpace) -> str:
    """Return what a worker must have to fill a space, as jobs name it."""
    return REEMBED.capability_for(space.space)


async def list_spaces(database: Database) -> list[SpaceStatus]:
    """Return all spaces of the schema, the oldest first."""
    async with database.worker() as transaction:
        return [_known(row) for row in await transaction.all(LIST)]


async def announce_space(database: Database, embedding: EmbeddingProvider) -> SpaceStatus:
    """Make the space of a model known to all who write, unless it is active already; returns it.

    Raises `EmbeddingSpaceError` while another one is being filled, or this one dropped.
    """
    asked = {
        "provider": embedding.provider,
        "model": embedding.model,
        "dims": embedding.dims,
        "revision": embedding.revision,
    }
    async with database.worker() as transaction:
        await transaction.run(LOCK)
        for other in map(_known, await transaction.all(LIST)):
            same = all(getattr(other.space, name) == value for name, value in asked.items())
            if same and other.state in ("active", "announced", "filling"):
                capabilities = [fill_capability(other.space), other.space.capability]
                await transaction.run(REVIVE, {"capabilities": capabilities})
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
        await transaction.run(ANNOUNCE, asked)
        row = await transaction.first(NAMED, asked)
        assert row is not None
        return _known(row)


async def snapshot_mark(database: Database) -> str:
    """Return a mark: once it is `passed`, everybody who writes has seen what was committed before it."""
    async with database.worker() as transaction:
        return str(await transaction.value(NOW))


async def snapshot_passed(database: Database, mark: str) -> bool:
    """Return whether all who began to write before a mark have ended."""
    async with database.worker() as transaction:
        return bool(await transaction.value(SETTLED, {"before": mark}))


async def enqueue_fill(database: Database, space: EmbeddingSpace) -> None:
    """Give every user the work of filling an announced space; what is there is not there twice."""
    after: str | None = ""
    while after is not None:
        async with database.worker() as transaction:
            after = await transaction.value(
                ENQUEUE, {"after": after, "page": PAGE, "fills": fill_capability(space)}
            )
    async with database.worker() as transaction:
        await transaction.run(FILLING, {"space": space.space})


async def activate_space(database: Database, space: EmbeddingSpace) -> bool:
    """Make a filled space the active one, in one transaction; False: it is not ready.

    Raises `EmbeddingSpaceError` when somebody has dropped it.
    """
    asked = {"fills": fill_capability(space), "capability": space.capability}
    async with database.worker() as transaction:
        if not await transaction.value(READY, asked):  # seldom so, and nobody has to wait for a look
            return False
        await transaction.run(LOCK)
        now = {one.space.space: one.state for one in map(_known, await transaction.all(LIST))}
        if now.get(space.space) == "active":
            return True
        if now.get(space.space) not in ("announced", "filling"):
            raise EmbeddingSpaceError(
                f"The space {space} was dropped before it was filled; call reembed() anew."
            )
        if now[space.space] == "announced" or not await transaction.value(READY, asked):
            return False
        await transaction.run(END)
        await transaction.run(BEGIN, {"space": space.space})
        unwanted = [row[0] for row in await transaction.all(UNWANTED)]
        await transaction.run(FORGET_WORK, {"capabilities": unwanted})
    return True


async def fill_progress(database: Database, space: EmbeddingSpace) -> FillProgress:
    """Return how far the filling of a space is."""
    async with database.worker() as transaction:
        row = await transaction.first(PROGRESS, {"capabilities": [fill_capability(space), space.capability]})
    assert row is not None
    return FillProgress(
        int(row.entries), int(row.entries_left), row.users, row.users_left, row.failed, row.error
    )


async def entries_without_vector(
    transaction: Transaction, user_id: str, space: EmbeddingSpace, first: int, last: int, most: int
) -> list[int]:
    """Return the first entries of a span that have no vector in a space."""
    rows = await transaction.all(
        MISSING, {"user": user_id, "space": space.space, "next": first, "last": last, "most": most}
    )
    return [row.entry for row in rows]


async def enqueue_single_entries(
    transaction: Transaction, user_id: str, space: EmbeddingSpace, entries: Sequence[int]
) -> None:
    """Have entries embedded one by one."""
    await transaction.run(APART, {"user": user_id, "capability": space.capability, "entries": list(entries)})


async def mark_dropping(database: Database, number: int) -> EmbeddingSpace:
    """Mark a space that is not active as being dropped, and forget its work; returns it."""
    async with database.worker() as transaction:
        await transaction.run(LOCK)
        found = {one.space.space: one for one in map(_known, await transaction.all(LIST))}.get(number)
        if found is None:
            raise NotFoundError(
                f"Schema {database.schema!r} has no embedding space {number}; spaces() lists them."
            )
        if found.state == "active":
            raise EmbeddingSpaceError(
                f"The space {found.space} is what schema {database.schema!r} is searched by; nothing was dropped. "
                "Change to another with reembed() first."
            )
        await transaction.run(
            "UPDATE {s}.spaces SET stage = 'dropping' WHERE space = :space", {"space": number}
        )
    return found.space


async def drop_space(database: Database, space: EmbeddingSpace) -> int:
    """Delete the vectors of a withdrawn space, and then the space; returns how many vectors there were.

    Each batch is a transaction of its own: what is interrupted goes on where it was. Nobody writes for the space any
    more.
    """
    deleted = 0
    async for user_id in _users(database):
        more = True
        while more:
            async with database.user(user_id) as transaction:
                n = await transaction.run(DELETE, {"user": user_id, "space": space.space, "most": BATCH})
            deleted += n
            more = n > 0
    async with database.worker() as transaction:
        await transaction.run(LOCK)
        await transaction.run(FORGET_WORK, {"capabilities": [fill_capability(space), space.capability]})
        await transaction.run("DELETE FROM {s}.spaces WHERE space = :space", {"space": space.space})
    await drop_orphaned_indexes(database)
    return deleted


async def _users(database: Database) -> AsyncIterator[str]:
    after = ""
    while True:
        async with database.worker() as transaction:
            rows = await transaction.all(USERS, {"after": after, "page": PAGE})
        if not rows:
            return
        for row in rows:
            yield row.user_id
        after = rows[-1].user_id


def _known(row: Row) -> SpaceStatus:
    return SpaceStatus(space_of(row), "active" if row.active else row.stage or "idle", row.created_at)
