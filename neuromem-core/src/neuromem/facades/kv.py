"""``nm.kv``: JSON values by namespace and key."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neuromem.domain import checks
from neuromem.domain.profile import MAX_KEY, MAX_NAMESPACE, PAST_KEPT, KVItem, json_text
from neuromem.errors import InputError
from neuromem.store import index, kv

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from neuromem.store.engine import Database

MAX_BATCH = 10_000
MAX_LIFETIME = 100 * 366 * 86_400.0  # seconds

_Items = list[KVItem]  # inside the class, `list` is the method


class KeyValue:
    """JSON values of one user by namespace and key.

    Namespace ``profile`` keeps its past: there a change adds a version, and reads take ``as_of``. Elsewhere a
    change overwrites, and ``as_of`` raises `InputError`. Keys have at most 1,024 bytes, namespaces 256,
    values 1,000,000 as JSON.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(
        self, user_id: str, namespace: str, key: str, value: Any, *, ttl: float | None = None
    ) -> None:
        """Store a value; after ``ttl`` seconds, if given, it is gone."""
        await self.batch_set(user_id, namespace, {key: value}, ttl=ttl)

    async def batch_set(
        self, user_id: str, namespace: str, values: Mapping[str, Any], *, ttl: float | None = None
    ) -> None:
        """Store many values, all or none, in one statement."""
        _scope(user_id, namespace)
        _size(user_id, len(values))
        pairs = {
            _key(key): json_text(
                value, whose=f"the value of {key!r} in namespace {namespace!r} of {user_id!r}"
            )
            for key, value in values.items()
        }
        lifetime = _lifetime(ttl)
        if not pairs:
            return
        async with self._database.user(user_id) as transaction:
            moment = await index.begin(transaction, user_id)
            change = kv.Change(namespace, pairs, kv.expiry(moment.now, lifetime), {"by": "user"})
            await kv.write(transaction, user_id, change, moment.now)

    async def get(
        self, user_id: str, namespace: str, key: str, default: Any = None, *, as_of: datetime | None = None
    ) -> Any:
        """Return a value, or ``default`` when there is none; a stored None is a value."""
        _scope(user_id, namespace, as_of)
        return (await kv.read(self._database, user_id, namespace, [_key(key)], as_of)).get(key, default)

    async def batch_get(
        self, user_id: str, namespace: str, keys: Iterable[str], *, as_of: datetime | None = None
    ) -> dict[str, Any]:
        """Return the values of those keys that are there, in one statement."""
        _scope(user_id, namespace, as_of)
        wanted = [_key(key) for key in keys]
        _size(user_id, len(wanted))
        found = await kv.read(self._database, user_id, namespace, wanted, as_of)
        return {key: found[key] for key in wanted if key in found}

    async def delete(self, user_id: str, namespace: str, key: str) -> bool:
        """Delete a key; True when it was there. The past of namespace ``profile`` still shows it."""
        _scope(user_id, namespace)
        _key(key)
        async with self._database.user(user_id) as transaction:
            moment = await index.begin(transaction, user_id)
            return await kv.remove(transaction, user_id, namespace, key, moment.now)

    async def increment(
        self, user_id: str, namespace: str, key: str, by: float = 1, *, ttl: float | None = None
    ) -> Any:
        """Add to a number and return the sum, safely from any number of tasks; an absent key counts as 0.

        ``ttl`` is for a key that this call creates; one that is there keeps its own.
        """
        _scope(user_id, namespace)
        if isinstance(by, bool) or not isinstance(by, int | float) or not math.isfinite(by):
            raise InputError(f"by must be a finite number, not {by!r}.")
        return await kv.increment(self._database, user_id, namespace, _key(key), by, _lifetime(ttl))

    async def list(
        self, user_id: str, namespace: str, prefix: str = "", limit: int = 100, after: str | None = None, *,
        as_of: datetime | None = None,
    ) -> _Items:  # fmt: skip
        """Return pairs whose key begins with ``prefix``, taken literally, in the order of their keys.

        For the next page pass the last key as ``after``.
        """
        _scope(user_id, namespace, as_of)
        found = await kv.page(
            self._database, user_id, namespace, prefix=checks.characters("prefix", prefix),
            limit=checks.count("limit", limit, most=MAX_BATCH), after=None if after is None else _key(after),
            as_of=as_of,
        )  # fmt: skip
        return [KVItem(key=key, value=value) for key, value in found]


def _scope(user_id: str, namespace: str, as_of: datetime | None = None) -> None:
    checks.user_id(user_id)
    _short("namespace", namespace, MAX_NAMESPACE)
    if checks.moment("as_of", as_of) is not None and namespace not in PAST_KEPT:
        raise InputError(
            f"Namespace {namespace!r} does not keep its past, so as_of cannot be answered; only "
            f"{', '.join(sorted(PAST_KEPT))} does."
        )


def _key(key: str) -> str:
    return _short("key", key, MAX_KEY)


def _short(name: str, value: str, most: int) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} must be a non-empty string, not {value!r}.")
    if (size := len(checks.characters(name, value).encode())) > most:
        raise InputError(f"{name} has {size:,} bytes; at most {most:,} are possible.")
    return value


def _size(user_id: str, count: int) -> None:
    if count > MAX_BATCH:
        raise InputError(
            f"{count:,} pairs of user {user_id!r} at once are too many; at most {MAX_BATCH:,} are possible."
        )


def _lifetime(ttl: float | None) -> float | None:
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= MAX_LIFETIME:
        raise InputError(
            f"ttl must be a number of seconds above 0 and at most {MAX_LIFETIME:,.0f}, not {ttl!r}."
        )
    return float(ttl)
