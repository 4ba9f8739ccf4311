"""Which messages support which value of the profile, and what is left of a profile when messages are erased.

The rule that this module decides (`versions_without`): a value that only the erased session supports is removed from
every version, what such a version had replaced or removed holds again, and what the user set by hand stays.
A value is compared by its hash; of a list every item is a value of its own (`comparable_items`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Any

from neuromem.domain.kv import PROFILE, json_text
from neuromem.domain.names import name_key
from neuromem.store.database.sql import fill
from neuromem.store.kv.kv import INSERT_VERSIONS

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


@dataclass(slots=True)
class ProfileVersion:
    """A value of a key of the profile and when it was current.

    Attributes:
        value: The value; None where there was none.
        begins: When it became current.
        ends: When it was replaced or removed; None while it is current.
        by_user: Whether the user set it, not the extractor.
    """

    value: Any
    begins: datetime
    ends: datetime | None
    by_user: bool = False


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


def versions_without(
    versions: Sequence[ProfileVersion], erased_items: set[bytes], moments: Collection[datetime]
) -> list[ProfileVersion]:
    """Return the versions of a key as they would be without erased values and erased changes.

    Each version is read as a change of the one before it: what it added and what it removed.

    Args:
        versions: All versions of one key, oldest first.
        erased_items: `comparable_items` that nothing supports any more.
        moments: When the erased extractions wrote; what ended then was ended by them.
    """
    by_hand = {item for one in versions if one.by_user for item in comparable_items(one.value)}
    erased_items = erased_items - by_hand
    kept: list[ProfileVersion] = []
    old: Any = None  # the value before this version, as it is stored
    rebuilt: Any = None  # the same value, as it would be
    for index, one in enumerate(versions):
        before = versions[index - 1] if index else None
        following = versions[index + 1] if index + 1 < len(versions) else None
        if before is None or before.ends != one.begins:  # there was no value right before
            old = None
            rebuilt = rebuilt if before is not None and before.ends in moments else None
        value = one.value
        if not one.by_user:
            value = _apply_change(old, rebuilt, value, erased_items, erased=one.begins in moments)
        ends = one.ends
        removed_then = following is None or following.begins != ends
        if ends in moments and removed_then:  # an erased extraction removed the key
            ends = following.begins if following is not None else None
        old, rebuilt = one.value, value
        if kept and kept[-1].ends == one.begins and kept[-1].value == value and value != one.value:
            kept[-1].ends = ends
        elif value:
            kept.append(replace(one, value=value, ends=ends))
    return kept


def _apply_change(old: Any, rebuilt: Any, value: Any, erased_items: set[bytes], *, erased: bool) -> Any:
    """Return what the change from ``old`` to ``value`` makes of ``rebuilt``.

    Args:
        old: The stored value before the change.
        rebuilt: The value before the change, as it would be.
        value: The stored value after the change.
        erased_items: What is not added any more.
        erased: Whether the change itself is erased; then it removes nothing.
    """
    if not isinstance(value, list):
        return rebuilt if erased_items.intersection(comparable_items(value)) else value
    parts = rebuilt if isinstance(rebuilt, list) else []
    before = set(comparable_items(old)) if isinstance(old, list) else set()
    after = set(comparable_items(value))
    removed = before.difference(after)
    left = [part for part in parts if erased or not removed.intersection(comparable_items(part))]
    restored = [part for part in left if not after.intersection(comparable_items(part))]
    left_items = {item for part in left for item in comparable_items(part)}
    present = [
        part
        for part in value
        if left_items.intersection(comparable_items(part))
        or not (before | erased_items).intersection(comparable_items(part))
    ]
    result = restored + present
    return parts if erased and set(comparable_items(result)) == set(comparable_items(parts)) else result


def comparable_items(value: Any) -> list[bytes]:
    """Return hashes by which values are compared: one for a value, or one for each item of a list.

    Strings that differ only as `name_key` ignores are the same.
    """
    parts = value if isinstance(value, list) else [value]
    texts = [name_key(part) if isinstance(part, str) else json.dumps(part, sort_keys=True) for part in parts]
    return [blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
