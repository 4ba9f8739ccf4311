"""Centroids: the mean of a user's vectors, which is subtracted before cosines are compared (hybrid_query.py).

What all texts of a user have in common says nothing about what a question means. The centroid is the mean of a sample
spread evenly over the user's entries, superseded ones included, so that a question about the past has the same one.

It is stored when every entry is embedded and there are a tenth more entries than when it was last stored. It is
computed again when something is erased, so that nothing of that stays in it. A question takes the stored one until the
user has outgrown it by a quarter; otherwise it computes the mean itself (`CENTROID_EXPRESSIONS`). So it does for users
of few entries, whose centroid changes with every text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.database.sql import fill

if TYPE_CHECKING:
    from neuromem.store.database.database import Transaction

CENTROID_SAMPLE = 100  # vectors that it is the mean of, and entries from which on it is stored
CENTROID_SHRINKAGE = 10  # with this many vectors the centroid counts half; it is shrunk by n / (n + this)

SELECT_MEAN = fill(
    """
    SELECT avg(v.v) AS v, count(*)::int AS n FROM {s}.vectors v
    WHERE v.user_id = :user AND v.space = :space AND v.part = 0 AND v.entry = ANY(ARRAY(
        SELECT DISTINCT CAST(1 + i * (last.entry - 1::bigint) / {sample} AS int)
        FROM (SELECT entry FROM {s}.vectors WHERE user_id = :user AND space = :space ORDER BY entry DESC LIMIT 1)
             AS last
        CROSS JOIN generate_series(0, {sample}) AS i))
""",
    sample=str(CENTROID_SAMPLE),
)

# Gives ``centroid (v, n)``, one row; without vectors v is NULL and n is 0.
CENTROID_EXPRESSIONS = fill(
    """
    stored AS MATERIALIZED (
        SELECT v, n FROM {s}.centroids WHERE user_id = :user AND space = :space
        AND entries >= 0.8::float8 * (SELECT last_entry FROM {s}.users WHERE user_id = :user)
    ), centroid AS MATERIALIZED (
        SELECT v, n FROM stored
        UNION ALL
        ({mean} AND NOT EXISTS (SELECT FROM stored) HAVING NOT EXISTS (SELECT FROM stored))
    )
""",
    mean=SELECT_MEAN,
)

# Whether the user has a tenth more entries than the stored centroid was made from, all of them embedded.
CENTROID_OUTGROWN = fill(
    """
    SELECT u.last_entry >= {sample} AND u.last_entry >= 1.1::float8 * coalesce(
               (SELECT entries FROM {s}.centroids WHERE user_id = :user AND space = :space), 0)
           AND NOT EXISTS (
               SELECT FROM {s}.jobs j WHERE j.user_id = :user AND j.kind IN ('embed', 'reembed') AND NOT j.dead
               AND j.capability IN ('space:' || CAST(:space AS smallint), 'fill:' || CAST(:space AS smallint)))
    FROM {s}.users u WHERE u.user_id = :user
""",
    sample=str(CENTROID_SAMPLE),
)

STORE_CENTROID = fill(
    """
    INSERT INTO {s}.centroids AS m (user_id, space, entries, n, v)
    SELECT :user, :space, u.last_entry, mean.n, mean.v FROM {s}.users u CROSS JOIN ({mean}) AS mean
    WHERE u.user_id = :user AND mean.n > 0 AND EXISTS (SELECT FROM {s}.spaces WHERE space = :space AND wanted)
    ON CONFLICT (user_id, space) DO UPDATE SET entries = excluded.entries, n = excluded.n, v = excluded.v
""",
    mean=SELECT_MEAN,
)

DELETE_CENTROIDS = "DELETE FROM {s}.centroids WHERE user_id = :user RETURNING space"


async def store_centroid(transaction: Transaction, user_id: str, space: int) -> None:
    """Store the centroid of a user's present vectors, unless the space is being dropped or no vector is there."""
    await transaction.run(STORE_CENTROID, {"user": user_id, "space": space})


async def update_centroid(transaction: Transaction, user_id: str, space: int) -> None:
    """Store the centroid of a user's present vectors if the user has outgrown the stored one."""
    if await transaction.value(CENTROID_OUTGROWN, {"user": user_id, "space": space}):
        await store_centroid(transaction, user_id, space)


async def recompute_centroids(transaction: Transaction, user_id: str) -> None:
    """Compute the stored centroids of a user again, in every space, from the vectors that are left."""
    for row in await transaction.all(DELETE_CENTROIDS, {"user": user_id}):
        await store_centroid(transaction, user_id, row.space)


def centroid_trust(n: int) -> float:
    """Return the weight of the centroid of ``n`` vectors, in [0, 1): few vectors have much in common by chance."""
    return n / (n + 2 * CENTROID_SHRINKAGE)
