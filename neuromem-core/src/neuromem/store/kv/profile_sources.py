"""Stores which messages support which value of the profile, and erases from a profile what only one session supports.

What is left of a profile then is decided in `profile_erasure.py`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from neuromem.domain.kv import PROFILE, json_text
from neuromem.store.database.sql import fill
from neuromem.store.kv.kv import INSERT_VERSIONS
from neuromem.store.kv.profile_erasure import ProfileVersion, comparable_items, versions_without

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction
    from neuromem.store.database.rows import Row

INSERT_SOURCES = """
    INSERT INTO {s}.kv_sources (user_id, namespace, key, item, message_id)
    SELECT :user, :namespace, n.key, n.item, m.message_id
    FROM unnest(CAST(:item_keys AS text[]), CAST(:items AS bytea[])) AS n(key, item)
    JOIN {s}.messages m ON m.user_id = :user AND m.message_id = ANY(CAST(:sources AS uuid[]))
    ON CONFLICT DO NOTHING
"""

INSERT_VERSIONS_WITH_SOURCES = fill(
    "WITH new_sources AS ({sources}), {versions}", sources=INSERT_SOURCES, versions=INSERT_VERSIONS
)

# Items all of whose sources are among some messages.
ITEMS_SUPPORTED_ONLY_BY = """
    WITH chosen AS MATERIALIZED ({messages})
    SELECT s.key, s.item FROM {s}.kv_sources s
    WHERE s.user_id = :user AND s.namespace = :namespace AND (s.key, s.item) IN (
        SELECT o.key, o.item FROM {s}.kv_sources o JOIN chosen USING (message_id)
        WHERE o.user_id = :user AND o.namespace = :namespace
    )
    GROUP BY s.key, s.item HAVING bool_and(s.message_id IN (SELECT message_id FROM chosen))
"""

ITEMS_OF_SESSION_ALONE = fill(
    ITEMS_SUPPORTED_ONLY_BY,
    messages="SELECT message_id FROM {s}.messages WHERE user_id = :user AND session_id = :session",
)
ITEMS_OF_MESSAGES_ALONE = fill(
    ITEMS_SUPPORTED_ONLY_BY, messages="SELECT unnest(CAST(:messages AS uuid[])) AS message_id"
)

DELETE_SOURCES = """
    DELETE FROM {s}.kv_sources
    WHERE user_id = :user AND namespace = :namespace AND message_id = ANY(CAST(:messages AS uuid[]))
"""

# All versions of the keys that are named, or that changed at one of the moments.
SELECT_VERSIONS = """
    SELECT key, created_at, value, superseded_at, origin ->> 'by' = 'user' AS by_user FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND key IN (
        SELECT unnest(CAST(:keys AS text[])) UNION
        SELECT key FROM {s}.kv WHERE user_id = :user AND namespace = :namespace
        AND (created_at = ANY(CAST(:moments AS timestamptz[])) OR superseded_at = ANY(CAST(:moments AS timestamptz[])))
    )
    ORDER BY key, created_at
"""

DELETE_VERSIONS = """
    DELETE FROM {s}.kv v USING unnest(CAST(:keys AS text[]), CAST(:created AS timestamptz[])) AS n(key, created_at)
    WHERE v.user_id = :user AND v.namespace = :namespace AND v.key = n.key AND v.created_at = n.created_at
"""

REWRITE_VERSIONS = """
    UPDATE {s}.kv v SET value = n.value::json, superseded_at = n.superseded_at
    FROM unnest(CAST(:keys AS text[]), CAST(:created AS timestamptz[]), CAST(:values AS text[]),
                CAST(:ends AS timestamptz[])) AS n(key, created_at, value, superseded_at)
    WHERE v.user_id = :user AND v.namespace = :namespace AND v.key = n.key AND v.created_at = n.created_at
"""


async def change_profile(
    transaction: Transaction,
    user_id: str,
    changed: Mapping[str, Any],
    now: datetime,
    origin: Mapping[str, Any],
    *,
    said: Mapping[str, Any],
    sources: Sequence[str],
) -> None:
    """Store new values of the profile, and which messages support which value.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose profile.
        changed: New values by key; None ends the current value without a next one.
        now: The moment of the transaction on the user's clock.
        origin: Who made the change, stored with each version.
        said: What the messages said, by key, whether it was new or known before. Of a list each item counts.
        sources: Ids of the messages that said it; ids of no message of the user are ignored.

    Raises:
        InputError: A value cannot be stored as JSON.
    """
    values = [
        None if value is None else json_text(value, whose=f"the profile's {key!r}")
        for key, value in changed.items()
    ]
    await transaction.run(
        INSERT_VERSIONS_WITH_SOURCES,
        {
            "user": user_id,
            "namespace": PROFILE,
            "now": now,
            "expires_at": None,
            "keys": list(changed),
            "values": values,
            "origin": json.dumps(dict(origin)),
            **_source_parameters(said, sources),
        },
    )


async def record_profile_sources(
    transaction: Transaction, user_id: str, given: Mapping[str, Any], sources: Sequence[str]
) -> None:
    """Record that messages support values of the profile, without changing the values.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose profile.
        given: The supported values by key; of a list each item.
        sources: Ids of the messages.
    """
    await transaction.run(
        INSERT_SOURCES, {"user": user_id, "namespace": PROFILE, **_source_parameters(given, sources)}
    )


def _source_parameters(given: Mapping[str, Any], sources: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of `INSERT_SOURCES` that say which items which messages support."""
    pairs = [(key, item) for key, value in given.items() for item in comparable_items(value)]
    return {
        "item_keys": [key for key, _ in pairs],
        "items": [item for _, item in pairs],
        "sources": list(sources),
    }


async def values_said_only_by(
    transaction: Transaction, user_id: str, messages: Collection[str]
) -> dict[str, set[bytes]]:
    """Return, by key, the `comparable_items` of the profile that no other message than these supports."""
    given = {"user": user_id, "namespace": PROFILE, "messages": list(messages)}
    return _items_by_key(await transaction.all(ITEMS_OF_MESSAGES_ALONE, given))


async def forget_profile_sources(transaction: Transaction, user_id: str, messages: Collection[str]) -> None:
    """Delete the record that these messages support values of the profile; the values stay."""
    await transaction.run(DELETE_SOURCES, {"user": user_id, "namespace": PROFILE, "messages": list(messages)})


async def erase_session_from_profile(
    transaction: Transaction, user_id: str, session_id: str, moments: Collection[datetime]
) -> int:
    """Erase from all versions of the profile what only messages of one session support.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose profile.
        session_id: The session that is being erased.
        moments: When the session was extracted. What was replaced or removed then holds again.

    Returns:
        The number of keys with a changed or deleted version.
    """
    scope = {"user": user_id, "namespace": PROFILE}
    erased_items = _items_by_key(
        await transaction.all(ITEMS_OF_SESSION_ALONE, {**scope, "session": session_id})
    )
    rows = await transaction.all(
        SELECT_VERSIONS, {**scope, "keys": list(erased_items), "moments": list(moments)}
    )
    deleted: list[tuple[str, datetime]] = []
    changed: list[tuple[str, ProfileVersion]] = []
    for key, versions in groupby(rows, key=lambda row: row.key):
        stored = [
            ProfileVersion(row.value, row.created_at, row.superseded_at, bool(row.by_user))
            for row in versions
        ]
        kept = {one.begins: one for one in versions_without(stored, erased_items.get(key, set()), moments)}
        deleted += [(key, one.begins) for one in stored if one.begins not in kept]
        changed += [(key, kept[one.begins]) for one in stored if kept.get(one.begins, one) != one]
    await transaction.run(
        DELETE_VERSIONS,
        {**scope, "keys": [key for key, _ in deleted], "created": [begins for _, begins in deleted]},
    )
    await transaction.run(
        REWRITE_VERSIONS,
        {
            **scope,
            "keys": [key for key, _ in changed],
            "created": [one.begins for _, one in changed],
            "values": [json.dumps(one.value) for _, one in changed],
            "ends": [one.ends for _, one in changed],
        },
    )
    return len({key for key, _ in (*deleted, *changed)})


def _items_by_key(rows: Sequence[Row]) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = defaultdict(set)
    for row in rows:
        found[row.key].add(bytes(row.item))
    return found
