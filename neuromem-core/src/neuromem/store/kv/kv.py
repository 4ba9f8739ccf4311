"""Key-value pairs: overwritten in place, or where the past is kept, chains of versions."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from neuromem.domain.kv import PROFILE, VERSIONED_NAMESPACES, json_text
from neuromem.errors import InputError
from neuromem.store.database.users import begin_write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Database, Transaction

NOW = "superseded_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
THEN = """
    created_at <= :as_of AND (superseded_at IS NULL OR superseded_at > :as_of)
    AND (expires_at IS NULL OR expires_at > :as_of)
"""

GET = """
    SELECT key, value FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND key = ANY(CAST(:keys AS text[])) AND {visible}
"""

LIST = """
    SELECT key, value FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND starts_with(key, :prefix) AND key > :after
      AND {visible}
    ORDER BY key LIMIT :limit
"""

ALL = """
    SELECT key, value FROM {s}.kv WHERE user_id = :user AND namespace = :namespace AND {visible} ORDER BY key
"""

OVERWRITE = """
    INSERT INTO {s}.kv (user_id, namespace, key, value, created_at, expires_at, origin)
    SELECT :user, :namespace, n.key, n.value::json, :now, CAST(:expires_at AS timestamptz),
           CAST(:origin AS jsonb)
    FROM unnest(CAST(:keys AS text[]), CAST(:values AS text[])) AS n(key, value)
    ON CONFLICT (user_id, namespace, key) WHERE superseded_at IS NULL DO UPDATE SET
        value = excluded.value, expires_at = excluded.expires_at, origin = excluded.origin
"""

# What is there in the same words is no change, NULL ends what is there. Counting the closed rows makes their closing
# come first.
KV_VERSION = """
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
ADD_VERSION = f"WITH {KV_VERSION}"

CLOSE = """
    UPDATE {s}.kv SET superseded_at = :now
    WHERE user_id = :user AND namespace = :namespace AND key = :key AND superseded_at IS NULL
    RETURNING expires_at IS NULL OR expires_at > :now AS visible
"""

DELETE = """
    DELETE FROM {s}.kv WHERE user_id = :user AND namespace = :namespace AND key = :key
    RETURNING expires_at IS NULL OR expires_at > :now AS visible
"""

EXPIRED = """
    DELETE FROM {s}.kv
    WHERE user_id = :user AND expires_at <= :now AND NOT namespace = ANY(CAST(:kept AS text[]))
"""

HELD = """
    SELECT value, expires_at FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND key = :key AND superseded_at IS NULL
      AND (expires_at IS NULL OR expires_at > :now)
"""


@dataclass(frozen=True, slots=True)
class KVChange:
    """Pairs to be written into one namespace; values are JSON texts."""

    namespace: str
    pairs: Mapping[str, str]
    expires_at: datetime | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)


async def read_values(
    database: Database, user_id: str, namespace: str, keys: Sequence[str], as_of: datetime | None = None
) -> dict[str, Any]:
    """Return the values of those keys that are there."""
    condition, params = kv_visible(as_of)
    async with database.reader(user_id, as_of=as_of) as transaction:
        rows = await transaction.all(
            GET.replace("{visible}", condition),
            {"user": user_id, "namespace": namespace, "keys": list(keys), **params},
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
    """Return pairs in the order of their keys, those after ``after`` whose key begins with ``prefix``."""
    condition, params = kv_visible(as_of)
    async with database.reader(user_id, as_of=as_of) as transaction:
        rows = await transaction.all(
            LIST.replace("{visible}", condition),
            {
                "user": user_id,
                "namespace": namespace,
                "prefix": prefix,
                "after": after or "",
                "limit": limit,
                **params,
            },
        )
    return [(row.key, row.value) for row in rows]


async def read_profile(
    transaction: Transaction, user_id: str, as_of: datetime | None = None
) -> dict[str, Any]:
    """Return what is known about the user, now or as it was known then."""
    condition, params = kv_visible(as_of)
    rows = await transaction.all(
        ALL.replace("{visible}", condition), {"user": user_id, "namespace": PROFILE, **params}
    )
    return {row.key: row.value for row in rows}


async def write_values(transaction: Transaction, user_id: str, change: KVChange, now: datetime) -> None:
    """Store pairs, in a transaction that holds the user's lock since ``now``."""
    await transaction.run(
        ADD_VERSION if change.namespace in VERSIONED_NAMESPACES else OVERWRITE,
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
    if change.expires_at is not None:  # who lets things expire also clears them away
        await transaction.run(EXPIRED, {"user": user_id, "now": now, "kept": sorted(VERSIONED_NAMESPACES)})


async def remove_key(transaction: Transaction, user_id: str, namespace: str, key: str, now: datetime) -> bool:
    """Take a key out of the present; True when it was visible."""
    row = await transaction.first(
        CLOSE if namespace in VERSIONED_NAMESPACES else DELETE,
        {"user": user_id, "namespace": namespace, "key": key, "now": now},
    )
    return row is not None and bool(row.visible)


async def increment_value(
    database: Database, user_id: str, namespace: str, key: str, by: float, lifetime: float | None
) -> Any:
    """Add to a number under the user's lock and return the sum; what is not there counts as 0.

    ``lifetime`` in seconds is for a new key; one that is there keeps its own.
    """
    async with database.user(user_id) as transaction:
        moment = await begin_write(transaction, user_id)
        row = await transaction.first(
            HELD, {"user": user_id, "namespace": namespace, "key": key, "now": moment.now}
        )
        old = 0 if row is None else row.value
        if isinstance(old, bool) or not isinstance(old, int | float):
            raise InputError(
                f"{key!r} in namespace {namespace!r} of user {user_id!r} holds a {type(old).__name__}, not a "
                "number; increment() changed nothing."
            )
        expires_at = expiry_of(moment.now, lifetime) if row is None else row.expires_at
        total = old + by
        pairs = {key: json_text(total, whose=f"the sum in {key!r} of user {user_id!r}")}
        await write_values(
            transaction, user_id, KVChange(namespace, pairs, expires_at, {"by": "user"}), moment.now
        )
    return total


def expiry_of(now: datetime, lifetime: float | None) -> datetime | None:
    """Return when something that lives ``lifetime`` seconds ends."""
    return None if lifetime is None else now + timedelta(seconds=lifetime)


def kv_visible(as_of: datetime | None) -> tuple[str, dict[str, Any]]:
    """Return the SQL for "there, now or then" over ``kv`` and its parameters."""
    return (NOW, {}) if as_of is None else (THEN, {"as_of": as_of})
