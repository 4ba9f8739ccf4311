"""Which messages said what of a profile, so that erasing them takes back what nobody else said."""

from __future__ import annotations

import json
from collections import defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import name_key
from neuromem.domain.profile import PROFILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.store.engine import Transaction

SAID = """
    INSERT INTO {s}.kv_sources (user_id, namespace, key, item, message_id)
    SELECT :user, :namespace, n.key, n.item, m.message_id
    FROM unnest(CAST(:keys AS text[]), CAST(:items AS bytea[])) AS n(key, item)
    JOIN {s}.messages m ON m.user_id = :user AND m.message_id = ANY(CAST(:sources AS uuid[]))
    ON CONFLICT DO NOTHING
"""

SAID_THERE_ALONE = """
    WITH here AS MATERIALIZED (
        SELECT message_id FROM {s}.messages WHERE user_id = :user AND session_id = :session
    )
    SELECT s.key, s.item FROM {s}.kv_sources s
    WHERE s.user_id = :user AND s.namespace = :namespace AND (s.key, s.item) IN (
        SELECT o.key, o.item FROM {s}.kv_sources o JOIN here USING (message_id)
        WHERE o.user_id = :user AND o.namespace = :namespace
    )
    GROUP BY s.key, s.item HAVING bool_and(s.message_id IN (SELECT message_id FROM here))
"""

VERSIONS = """
    SELECT key, created_at, value, superseded_at, origin ->> 'by' = 'user' AS by_user FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND key = ANY(CAST(:keys AS text[]))
    ORDER BY key, created_at
"""

REWRITE = """
    UPDATE {s}.kv SET value = CAST(:value AS json)
    WHERE user_id = :user AND namespace = :namespace AND key = :key AND created_at = :created_at
"""

DELETE = """
    DELETE FROM {s}.kv WHERE user_id = :user AND namespace = :namespace AND key = :key AND created_at = :created_at
"""

REOPEN = """
    UPDATE {s}.kv SET superseded_at = NULL
    WHERE user_id = :user AND namespace = :namespace AND key = :key AND created_at = :created_at
"""


async def said(
    transaction: Transaction, user_id: str, given: Mapping[str, Any], sources: Sequence[str]
) -> None:
    """Remember which messages said these values, of lists each item; also of what was known already."""
    pairs = [(key, item) for key, value in given.items() for item in _items(value)]
    await transaction.run(
        SAID,
        {
            "user": user_id, "namespace": PROFILE, "keys": [key for key, _ in pairs],
            "items": [item for _, item in pairs], "sources": list(sources),
        },
    )  # fmt: skip


async def unsay(transaction: Transaction, user_id: str, session_id: str) -> int:
    """Erase what a session alone said of the profile, from the past too; returns how many keys that touched.

    What the user set by hand stays. A value that was overwritten by what is erased holds again.
    """
    place = {"user": user_id, "namespace": PROFILE}
    doomed: dict[str, set[bytes]] = defaultdict(set)
    for row in await transaction.all(SAID_THERE_ALONE, {**place, "session": session_id}):
        doomed[row.key].add(bytes(row.item))
    if not doomed:
        return 0
    rows = await transaction.all(VERSIONS, {**place, "keys": list(doomed)})
    for row in rows:
        if row.by_user:
            doomed[row.key].difference_update(_items(row.value))
    touched = set()
    left: dict[str, Any] = {}
    for row in rows:
        version = {**place, "key": row.key, "created_at": row.created_at}
        gone = doomed[row.key].intersection(_items(row.value))
        kept = (
            [part for part in row.value if not gone.issuperset(_items(part))]
            if isinstance(row.value, list)
            else []
        )
        if gone:
            touched.add(row.key)
        if gone and kept:
            await transaction.run(REWRITE, {**version, "value": json.dumps(kept)})
        elif gone:
            await transaction.run(DELETE, version)
        if gone and not kept and row.superseded_at is None:
            if row.key in left:
                await transaction.run(REOPEN, left[row.key])
        elif kept or not gone:
            left[row.key] = version
    return len(touched)


def _items(value: Any) -> list[bytes]:
    """Return what stands for a value, or for each item of a list, in the form in which they are compared."""
    parts = value if isinstance(value, list) else [value]
    texts = [name_key(part) if isinstance(part, str) else json.dumps(part, sort_keys=True) for part in parts]
    return [blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
