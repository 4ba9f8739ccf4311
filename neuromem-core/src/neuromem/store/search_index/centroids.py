"""The middle of a user's vectors: what they have in common, which tells nothing about what a question means.

It is the mean of a sample spread evenly over the user's entries. It is kept when all is embedded and there is a tenth
more than when it was kept before, and made anew when something is erased: nothing of that stays in it. A question
takes the kept one until the user has outgrown it by a quarter, and else works it out by itself (`EXPRESSIONS`), as it
does for users of few entries, whose middle changes with every text. What is superseded takes part, so that a question
about the past has the same middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuromem.store.database.database import Transaction

CENTROID_SAMPLE = 100  # vectors that it is made of, and entries from which on it is kept
CENTROID_SHRINKAGE = 10  # so many vectors give half of it

MEAN = f"""
    SELECT avg(v.v) AS v, count(*)::int AS n FROM {{s}}.vectors v
    WHERE v.user_id = :user AND v.space = :space AND v.part = 0 AND v.entry = ANY(ARRAY(
        SELECT DISTINCT CAST(1 + i * (last.entry - 1::bigint) / {CENTROID_SAMPLE} AS int)
        FROM (SELECT entry FROM {{s}}.vectors WHERE user_id = :user AND space = :space ORDER BY entry DESC LIMIT 1)
             AS last
        CROSS JOIN generate_series(0, {CENTROID_SAMPLE}) AS i))
"""

# Gives ``middle (v, n)``, one row; without vectors a NULL of 0.
CENTROID_EXPRESSIONS = f"""
    kept AS MATERIALIZED (
        SELECT v, n FROM {{s}}.centroids WHERE user_id = :user AND space = :space
        AND entries >= 0.8::float8 * (SELECT last_entry FROM {{s}}.users WHERE user_id = :user)
    ), middle AS MATERIALIZED (
        SELECT v, n FROM kept
        UNION ALL
        ({MEAN} AND NOT EXISTS (SELECT FROM kept) HAVING NOT EXISTS (SELECT FROM kept))
    )
"""

# Whether there is a tenth more than what is kept was made of, and all of it embedded.
CENTROID_OUTGROWN = f"""
    SELECT u.last_entry >= {CENTROID_SAMPLE} AND u.last_entry >= 1.1::float8 * coalesce(
               (SELECT entries FROM {{s}}.centroids WHERE user_id = :user AND space = :space), 0)
           AND NOT EXISTS (
               SELECT FROM {{s}}.jobs j WHERE j.user_id = :user AND j.kind IN ('embed', 'reembed') AND NOT j.dead
               AND j.capability IN ('space:' || CAST(:space AS smallint), 'fill:' || CAST(:space AS smallint)))
    FROM {{s}}.users u WHERE u.user_id = :user
"""

KEEP = f"""
    INSERT INTO {{s}}.centroids AS m (user_id, space, entries, n, v)
    SELECT :user, :space, u.last_entry, mean.n, mean.v FROM {{s}}.users u CROSS JOIN ({MEAN}) AS mean
    WHERE u.user_id = :user AND mean.n > 0 AND EXISTS (SELECT FROM {{s}}.spaces WHERE space = :space AND wanted)
    ON CONFLICT (user_id, space) DO UPDATE SET entries = excluded.entries, n = excluded.n, v = excluded.v
"""

FORGET = "DELETE FROM {s}.centroids WHERE user_id = :user RETURNING space"


async def store_centroid(transaction: Transaction, user_id: str, space: int) -> None:
    """Keep the middle of a user's vectors as they are now, in a space that is of use still."""
    await transaction.run(KEEP, {"user": user_id, "space": space})


async def update_centroid(transaction: Transaction, user_id: str, space: int) -> None:
    """Keep the middle of a user's vectors if what is kept is outgrown."""
    if await transaction.value(CENTROID_OUTGROWN, {"user": user_id, "space": space}):
        await store_centroid(transaction, user_id, space)


async def recompute_centroids(transaction: Transaction, user_id: str) -> None:
    """Make the centroids of a user that are kept anew from the vectors that are left."""
    for row in await transaction.all(FORGET, {"user": user_id}):
        await store_centroid(transaction, user_id, row.space)


def centroid_trust(n: int) -> float:
    """Return how far the middle of so many vectors can be trusted: few have much in common by chance."""
    return n / (n + 2 * CENTROID_SHRINKAGE)
