"""Key-value pairs of a user, by namespace.

The rule that this module decides: in the namespaces of `VERSIONED_NAMESPACES` (the profile) a change ends the current
version of a pair and adds the next, so that the past can be read; in every other namespace it overwrites the value.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neuromem.domain.kv import PROFILE, VERSIONED_NAMESPACES, json_text
from neuromem.errors import InputError
from neuromem.store.database.sql import Fragment, fill
from neuromem.store.database.users import begin_write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction

VISIBLE_NOW = Fragment("superseded_at IS NULL AND (expires_at IS NULL OR expires_at > now())")
VISIBLE_AT = """
    created_at <= :as_of AND (superseded_at IS NULL OR superseded_at > :as_of)
    AND (expires_at IS NULL OR expires_at > :as_of)
"""

SELECT_VALUES = """
    SELECT key, value FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND key = ANY(CAST(:keys AS text[])) AND {visible}
"""

SELECT_PAGE = """
    SELECT key, value FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND starts_with(key, :prefix) AND key > :after
      AND {visible}
    ORDER BY key LIMIT :limit
"""

SELECT_NAMESPACE = """
    SELECT key, value FROM {s}.kv WHERE user_id = :user AND namespace = :namespace AND {visible} ORDER BY key
"""

# The current profile in one value: JSON texts by key, to keep numbers as they were written.
PROFILE_AS_JSON = """
    (SELECT coalesce(jsonb_object_agg(key, value::text), '{}') FROM {s}.kv
     WHERE user_id = :user AND namespace = 'profile' AND superseded_at IS NULL
       AND (expires_at IS NULL OR expires_at > now()))
"""

OVERWRITE_VALUES = """
    INSERT INTO {s}.kv (user_id, namespace, key, value, created_at, expires_at, origin)
    SELECT :user, :namespace, n.key, n.value::json, :now, CAST(:expires_at AS timestamptz),
           CAST(:origin AS jsonb)
    FROM unnest(CAST(:keys AS text[]), CAST(:values AS text[])) AS n(key, value)
    ON CONFLICT (user_id, namespace, key) WHERE superseded_at IS NULL DO UPDATE SET
        value = excluded.value, expires_at = excluded.expires_at, origin = excluded.origin
"""

# Common table expressions and INSERT, to follow WITH. A value with the same JSON text is no change; NULL ends the
# current version without a next one. Counting the closed rows makes PostgreSQL close them before it inserts.
INSERT_VERSIONS = """
    n AS MATERIALIZED (
        SELECT n.key, n.value FROM unnest(CAST(:keys AS text[]), CAST(:values AS text[])) AS n(key, value)
        WHERE NOT EXISTS (
            SELECT FROM {s}.kv k
            WHERE k.user_id = :user AND k.namespace = :namespace AND k.key = n.key AND k.superseded_at IS NULL
              AND k.value::text = n.value
              AND k.expires_at IS NOT DISTINCT FROM CAST(:expires_at AS timestamptz)
        )
    ), closed AS (
        UPDATE {s}.kv k SET superseded_at = :now FROM n
        WHERE k.user_id = :user AND k.namespace = :namespace AND k.key = n.key AND k.superseded_at IS NULL
        RETURNING k.key
    )
    INSERT INTO {s}.kv (user_id, namespace, key, value, created_at, expires_at, origin)
    SELECT :user, :namespace, n.key, n.value::json, :now, CAST(:expires_at AS timestamptz),
           CAST(:origin AS jsonb)
    FROM n WHERE n.value IS NOT NULL AND (SELECT count(*) FROM closed) >= 0
"""
INSERT_VALUE_VERSIONS = fill("WITH {versions}", versions=INSERT_VERSIONS)

CLOSE_KEY = """
    UPDATE {s}.kv SET superseded_at = :now
    WHERE user_id = :user AND namespace = :namespace AND key = :key AND superseded_at IS NULL
    RETURNING expires_at IS NULL OR expires_at > :now AS visible
"""

DELETE_KEY = """
    DELETE FROM {s}.kv WHERE user_id = :user AND namespace = :namespace AND key = :key
    RETURNING expires_at IS NULL OR expires_at > :now AS visible
"""

DELETE_EXPIRED = """
    DELETE FROM {s}.kv
    WHERE user_id = :user AND expires_at <= :now AND NOT namespace = ANY(CAST(:versioned AS text[]))
"""

SELECT_VALUE_WITH_EXPIRY = """
    SELECT value, expires_at FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND key = :key AND superseded_at IS NULL
      AND (expires_at IS NULL OR expires_at > :now)
"""


@dataclass(frozen=True, slots=True)
class KVChange:
    """Values to be stored in one namespace.

    Attributes:
        namespace: Where the pairs belong.
        pairs: Values as JSON text, by key.
        expires_at: When the values stop being visible; None for never.
        origin: Who made the change, stored with the values.
    """

    namespace: str
    pairs: Mapping[str, str]
    expires_at: datetime | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)


async def read_values(
    database: Database, user_id: str, namespace: str, keys: Sequence[str], as_of: datetime | None = None
) -> dict[str, Any]:
    """Return the values of keys, without the keys that have none.

    Args:
        database: The database to read from.
        user_id: Whose pairs.
        namespace: The namespace of the keys.
        keys: Which keys.
        as_of: Read what was visible at that moment; None for now.
    """
    async with database.reader(user_id, as_of=as_of) as transaction:
        rows = await transaction.all(
            fill(SELECT_VALUES, visible=kv_visible(as_of)),
            {"user": user_id, "namespace": namespace, "keys": list(keys)},
        )
    return {row.key: row.value for row in rows}


async def fetch_pairs(
    database: Database,
    user_id: str,
    namespace: str,
    *,
    prefix: str,
    limit: int,
    after: str | None,
    as_of: datetime | None,
) -> list[tuple[str, Any]]:
    """Return a page of keys with their values, ordered by key.

    Args:
        database: The database to read from.
        user_id: Whose pairs.
        namespace: The namespace to list.
        prefix: Only keys that begin with it.
        limit: The most pairs to return.
        after: Only keys greater than it; None begins with the first.
        as_of: Read what was visible at that moment; None for now.
    """
    async with database.reader(user_id, as_of=as_of) as transaction:
        rows = await transaction.all(
            fill(SELECT_PAGE, visible=kv_visible(as_of)),
            {"user": user_id, "namespace": namespace, "prefix": prefix, "after": after or "", "limit": limit},
        )
    return [(row.key, row.value) for row in rows]


async def read_profile(
    transaction: Transaction, user_id: str, as_of: datetime | None = None
) -> dict[str, Any]:
    """Return the user's profile by key, as it is now or as it was known at ``as_of``."""
    rows = await transaction.all(
        fill(SELECT_NAMESPACE, visible=kv_visible(as_of)), {"user": user_id, "namespace": PROFILE}
    )
    return {row.key: row.value for row in rows}


def parse_profile(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the profile that `PROFILE_AS_JSON` selected."""
    return {key: json.loads(text) for key, text in texts.items()}


async def write_values(transaction: Transaction, user_id: str, change: KVChange, now: datetime) -> None:
    """Store the pairs of a change, as new versions where the namespace keeps its past.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose pairs.
        change: What is stored.
        now: The moment of the transaction on the user's clock.
    """
    await transaction.run(
        INSERT_VALUE_VERSIONS if change.namespace in VERSIONED_NAMESPACES else OVERWRITE_VALUES,
        {
            "user": user_id,
            "namespace": change.namespace,
            "now": now,
            "expires_at": change.expires_at,
            "keys": list(change.pairs),
            "values": list(change.pairs.values()),
            "origin": json.dumps(dict(change.origin)),
        },
    )
    if (
        change.expires_at is not None
    ):  # users of expiry pay for the clean-up of expired pairs, nobody else does
        await transaction.run(
            DELETE_EXPIRED, {"user": user_id, "now": now, "versioned": sorted(VERSIONED_NAMESPACES)}
        )


async def remove_key(transaction: Transaction, user_id: str, namespace: str, key: str, now: datetime) -> bool:
    """Remove a key: end its version where the namespace keeps its past, delete it elsewhere.

    Returns:
        Whether the key was visible before.
    """
    row = await transaction.first(
        CLOSE_KEY if namespace in VERSIONED_NAMESPACES else DELETE_KEY,
        {"user": user_id, "namespace": namespace, "key": key, "now": now},
    )
    return row is not None and bool(row.visible)


async def increment_value(
    database: Database, user_id: str, namespace: str, key: str, by: float, lifetime: float | None
) -> Any:
    """Add to a number under the user's lock and return the sum; a missing key counts as 0.

    Args:
        database: The database to write to.
        user_id: Whose pair.
        namespace: The namespace of the key.
        key: The key of the number.
        by: What is added.
        lifetime: Seconds until a new key expires, None for never; an existing key keeps its expiry.

    Raises:
        InputError: The value is not a number, or the sum is not one that JSON can hold.
    """
    async with database.user(user_id) as transaction:
        stamp = await begin_write(transaction, user_id)
        row = await transaction.first(
            SELECT_VALUE_WITH_EXPIRY, {"user": user_id, "namespace": namespace, "key": key, "now": stamp.now}
        )
        old = 0 if row is None else row.value
        if isinstance(old, bool) or not isinstance(old, int | float):
            raise InputError(
                f"{key!r} in namespace {namespace!r} of user {user_id!r} holds a {type(old).__name__}, not a "
                "number; increment() changed nothing."
            )
        expires_at = expiry_of(stamp.now, lifetime) if row is None else row.expires_at
        total = old + by
        pairs = {key: json_text(total, whose=f"the sum in {key!r} of user {user_id!r}")}
        await write_values(
            transaction, user_id, KVChange(namespace, pairs, expires_at, {"by": "user"}), stamp.now
        )
    return total


def expiry_of(now: datetime, lifetime: float | None) -> datetime | None:
    """Return the moment ``lifetime`` seconds after ``now``; None for no end."""
    return None if lifetime is None else now + timedelta(seconds=lifetime)


def kv_visible(as_of: datetime | None) -> Fragment:
    """Return the condition "this row of ``kv`` is current and not expired", now or at ``as_of``."""
    return VISIBLE_NOW if as_of is None else Fragment(VISIBLE_AT, {"as_of": as_of})
