"""Which messages said what of a profile, so that erasing them takes back what nobody else said."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Any

from neuromem.domain.kv import PROFILE, json_text
from neuromem.domain.names import name_key
from neuromem.store.kv.kv import KV_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from neuromem.store.database.database import Transaction

SAID = """
    INSERT INTO {s}.kv_sources (user_id, namespace, key, item, message_id)
    SELECT :user, :namespace, n.key, n.item, m.message_id
    FROM unnest(CAST(:said AS text[]), CAST(:items AS bytea[])) AS n(key, item)
    JOIN {s}.messages m ON m.user_id = :user AND m.message_id = ANY(CAST(:sources AS uuid[]))
    ON CONFLICT DO NOTHING
"""

CHANGE = f"WITH said AS ({SAID}), {KV_VERSION}"

SAID_HERE_ALONE = """
    WITH here AS MATERIALIZED ({here})
    SELECT s.key, s.item FROM {s}.kv_sources s
    WHERE s.user_id = :user AND s.namespace = :namespace AND (s.key, s.item) IN (
        SELECT o.key, o.item FROM {s}.kv_sources o JOIN here USING (message_id)
        WHERE o.user_id = :user AND o.namespace = :namespace
    )
    GROUP BY s.key, s.item HAVING bool_and(s.message_id IN (SELECT message_id FROM here))
"""

SAID_THERE_ALONE = SAID_HERE_ALONE.replace(
    "{here}", "SELECT message_id FROM {s}.messages WHERE user_id = :user AND session_id = :session"
)
SAID_BY_THESE_ALONE = SAID_HERE_ALONE.replace(
    "{here}", "SELECT unnest(CAST(:messages AS uuid[])) AS message_id"
)

FORGET = """
    DELETE FROM {s}.kv_sources
    WHERE user_id = :user AND namespace = :namespace AND message_id = ANY(CAST(:messages AS uuid[]))
"""

VERSIONS = """
    SELECT key, created_at, value, superseded_at, origin ->> 'by' = 'user' AS by_user FROM {s}.kv
    WHERE user_id = :user AND namespace = :namespace AND key IN (
        SELECT unnest(CAST(:keys AS text[])) UNION
        SELECT key FROM {s}.kv WHERE user_id = :user AND namespace = :namespace
        AND (created_at = ANY(CAST(:moments AS timestamptz[])) OR superseded_at = ANY(CAST(:moments AS timestamptz[])))
    )
    ORDER BY key, created_at
"""

DELETE = """
    DELETE FROM {s}.kv v USING unnest(CAST(:keys AS text[]), CAST(:created AS timestamptz[])) AS n(key, created_at)
    WHERE v.user_id = :user AND v.namespace = :namespace AND v.key = n.key AND v.created_at = n.created_at
"""

REWRITE = """
    UPDATE {s}.kv v SET value = n.value::json, superseded_at = n.superseded_at
    FROM unnest(CAST(:keys AS text[]), CAST(:created AS timestamptz[]), CAST(:values AS text[]),
                CAST(:ends AS timestamptz[])) AS n(key, created_at, value, superseded_at)
    WHERE v.user_id = :user AND v.namespace = :namespace AND v.key = n.key AND v.created_at = n.created_at
"""


@dataclass(slots=True)
class ProfileVersion:
    """A value of a key of the profile, from when until when; None: until now."""

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
    """Store new values by key, None ends one, and which messages said what: of lists each item, known before or not."""
    values = [
        None if value is None else json_text(value, whose=f"the profile's {key!r}")
        for key, value in changed.items()
    ]
    await transaction.run(
        CHANGE,
        {
            "user": user_id,
            "namespace": PROFILE,
            "now": now,
            "expires_at": None,
            "keys": list(changed),
            "values": values,
            "origin": json.dumps(dict(origin)),
            **_said(said, sources),
        },
    )


async def record_profile_sources(
    transaction: Transaction, user_id: str, given: Mapping[str, Any], sources: Sequence[str]
) -> None:
    """Remember which messages said these values."""
    await transaction.run(SAID, {"user": user_id, "namespace": PROFILE, **_said(given, sources)})


def _said(given: Mapping[str, Any], sources: Sequence[str]) -> dict[str, Any]:
    pairs = [(key, item) for key, value in given.items() for item in comparable_items(value)]
    return {"said": [key for key, _ in pairs], "items": [item for _, item in pairs], "sources": list(sources)}


async def values_said_only_by(
    transaction: Transaction, user_id: str, messages: Collection[str]
) -> dict[str, set[bytes]]:
    """Return by key the `items` of the profile that these messages said and no others."""
    given = {"user": user_id, "namespace": PROFILE, "messages": list(messages)}
    alone: dict[str, set[bytes]] = defaultdict(set)
    for row in await transaction.all(SAID_BY_THESE_ALONE, given):
        alone[row.key].add(bytes(row.item))
    return alone


async def forget_profile_sources(transaction: Transaction, user_id: str, messages: Collection[str]) -> None:
    """Forget what these messages said; the values stay."""
    await transaction.run(FORGET, {"user": user_id, "namespace": PROFILE, "messages": list(messages)})


async def erase_session_from_profile(
    transaction: Transaction, user_id: str, session_id: str, moments: Collection[datetime]
) -> int:
    """Erase what a session alone said of the profile, from the past too; returns how many keys that touched.

    ``moments`` are those at which the session was extracted. What was overwritten or withdrawn then holds again. What
    the user set by hand stays.
    """
    place = {"user": user_id, "namespace": PROFILE}
    doomed: dict[str, set[bytes]] = defaultdict(set)
    for row in await transaction.all(SAID_THERE_ALONE, {**place, "session": session_id}):
        doomed[row.key].add(bytes(row.item))
    rows = await transaction.all(VERSIONS, {**place, "keys": list(doomed), "moments": list(moments)})
    gone: list[tuple[str, datetime]] = []
    changed: list[tuple[str, ProfileVersion]] = []
    for key, versions in groupby(rows, key=lambda row: row.key):
        held = [
            ProfileVersion(row.value, row.created_at, row.superseded_at, bool(row.by_user))
            for row in versions
        ]
        kept = {one.begins: one for one in versions_without(held, doomed[key], moments)}
        gone += [(key, one.begins) for one in held if one.begins not in kept]
        changed += [(key, kept[one.begins]) for one in held if kept.get(one.begins, one) != one]
    await transaction.run(
        DELETE, {**place, "keys": [key for key, _ in gone], "created": [begins for _, begins in gone]}
    )
    await transaction.run(
        REWRITE,
        {
            **place,
            "keys": [key for key, _ in changed],
            "created": [one.begins for _, one in changed],
            "values": [json.dumps(one.value) for _, one in changed],
            "ends": [one.ends for _, one in changed],
        },
    )
    return len({key for key, _ in (*gone, *changed)})


def versions_without(
    versions: Sequence[ProfileVersion], doomed: set[bytes], moments: Collection[datetime]
) -> list[ProfileVersion]:
    """Return the versions of a key as they would be if what is ``doomed``, and what was done at ``moments``, were not.

    Each version is read as a change of the one before: what it added, and what it took away.
    """
    by_hand = {item for one in versions if one.by_user for item in comparable_items(one.value)}
    doomed = doomed - by_hand
    kept: list[ProfileVersion] = []
    was: Any = None  # the value before, as it stands there
    now: Any = None  # and as it would be
    for place, one in enumerate(versions):
        before = versions[place - 1] if place else None
        if before is None or before.ends != one.begins:  # there was nothing
            was = None
            now = now if before is not None and before.ends in moments else None
        value = one.value
        if not one.by_user:
            value = _changed(was, now, value, doomed, erased=one.begins in moments)
        following = versions[place + 1] if place + 1 < len(versions) else None
        ends = one.ends
        if ends in moments and (
            following is None or following.begins != ends
        ):  # it was taken away altogether
            ends = following.begins if following is not None else None
        was, now = one.value, value
        if kept and kept[-1].ends == one.begins and kept[-1].value == value and value != one.value:
            kept[-1].ends = ends
        elif value:
            kept.append(replace(one, value=value, ends=ends))
    return kept


def _changed(was: Any, now: Any, value: Any, doomed: set[bytes], *, erased: bool) -> Any:
    """Return what a change from ``was`` to ``value`` makes of ``now``; an erased one takes nothing away."""
    if not isinstance(value, list):
        return now if doomed.intersection(comparable_items(value)) else value
    parts = now if isinstance(now, list) else []
    had = set(comparable_items(was)) if isinstance(was, list) else set()
    stands = set(comparable_items(value))
    left = [
        part for part in parts if erased or not had.difference(stands).intersection(comparable_items(part))
    ]
    missing = [part for part in left if not stands.intersection(comparable_items(part))]
    there = {item for part in left for item in comparable_items(part)}
    here = [
        part
        for part in value
        if there.intersection(comparable_items(part))
        or not (had | doomed).intersection(comparable_items(part))
    ]
    result = missing + here
    return parts if erased and set(comparable_items(result)) == set(comparable_items(parts)) else result


def comparable_items(value: Any) -> list[bytes]:
    """Return what stands for a value, or for each item of a list, in the form in which they are compared."""
    parts = value if isinstance(value, list) else [value]
    texts = [name_key(part) if isinstance(part, str) else json.dumps(part, sort_keys=True) for part in parts]
    return [blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts]
