"""``nm.kv``: JSON values by namespace and key."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.kv import MAX_KEY, MAX_NAMESPACE, VERSIONED_NAMESPACES, KVItem, json_text
from neuromem.errors import InputError
from neuromem.store.database.users import begin_write
from neuromem.store.kv.kv import (
    KVChange,
    expiry_of,
    fetch_pairs,
    increment_value,
    read_values,
    remove_key,
    write_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from neuromem.store.database.database import Database

MAX_BATCH = 10_000
MAX_LIFETIME = 100 * 366 * 86_400.0  # seconds

_Items = list[KVItem]  # inside the class, `list` is the method


class KeyValue:
    """JSON values of one user by namespace and key.

    Namespace ``profile`` keeps its past: there a change adds a version, and reads take ``as_of``. Elsewhere a
    change overwrites, and ``as_of`` raises `InputError`. Keys have at most 1,024 bytes in UTF-8, namespaces 256,
    values 1,000,000 as JSON.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(
        self, user_id: str, namespace: str, key: str, value: Any, *, ttl: float | None = None
    ) -> None:
        """Store a value; after ``ttl`` seconds, if given, it is gone.

        Args:
            user_id: Whose values.
            namespace: The namespace.
            key: The key.
            value: What JSON can hold: dict, list, str, int, finite float, bool, None; nested at most 100 levels deep.
            ttl: Seconds until it is gone, above 0 and at most 100 years; None: it stays.

        Raises:
            InputError: An argument cannot be used; nothing was stored.
        """
        await self.batch_set(user_id, namespace, {key: value}, ttl=ttl)

    async def batch_set(
        self, user_id: str, namespace: str, values: Mapping[str, Any], *, ttl: float | None = None
    ) -> None:
        """Store many values, all or none, in one statement.

        Args:
            user_id: Whose values.
            namespace: The namespace.
            values: Values by key, at most 10,000; see `set`.
            ttl: Seconds until they are gone; see `set`.

        Raises:
            InputError: An argument cannot be used; nothing was stored.
        """
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
            moment = await begin_write(transaction, user_id)
            change = KVChange(namespace, pairs, expiry_of(moment.now, lifetime), {"by": "user"})
            await write_values(transaction, user_id, change, moment.now)

    async def get(
        self, user_id: str, namespace: str, key: str, default: Any = None, *, as_of: datetime | None = None
    ) -> Any:
        """Return a value, or ``default`` when there is none; a stored None is a value.

        Args:
            user_id: Whose values.
            namespace: The namespace.
            key: The key.
            default: What is returned when there is no value.
            as_of: The moment to answer as of; timezone-aware, for namespace ``profile`` only. None: now.

        Returns:
            The value as JSON reads it: a tuple comes back as a list.

        Raises:
            InputError: An argument cannot be used, or the namespace does not keep its past.
        """
        _scope(user_id, namespace, as_of)
        return (await read_values(self._database, user_id, namespace, [_key(key)], as_of)).get(key, default)

    async def batch_get(
        self, user_id: str, namespace: str, keys: Iterable[str], *, as_of: datetime | None = None
    ) -> dict[str, Any]:
        """Return the values of those keys that are there, in one statement.

        Args:
            user_id: Whose values.
            namespace: The namespace.
            keys: At most 10,000 keys.
            as_of: See `get`.

        Returns:
            Values by key, in the order of ``keys``; keys without a value are left out.

        Raises:
            InputError: An argument cannot be used, or the namespace does not keep its past.
        """
        _scope(user_id, namespace, as_of)
        wanted = [_key(key) for key in keys]
        _size(user_id, len(wanted))
        found = await read_values(self._database, user_id, namespace, wanted, as_of)
        return {key: found[key] for key in wanted if key in found}

    async def delete(self, user_id: str, namespace: str, key: str) -> bool:
        """Delete a key; True when it was there. The past of namespace ``profile`` still shows it.

        Args:
            user_id: Whose values.
            namespace: The namespace.
            key: The key.

        Returns:
            Whether there was a value.

        Raises:
            InputError: An argument cannot be used.
        """
        _scope(user_id, namespace)
        _key(key)
        async with self._database.user(user_id) as transaction:
            moment = await begin_write(transaction, user_id)
            return await remove_key(transaction, user_id, namespace, key, moment.now)

    async def increment(
        self, user_id: str, namespace: str, key: str, by: float = 1, *, ttl: float | None = None
    ) -> Any:
        """Add to a number and return the sum, safely from any number of tasks; an absent key counts as 0.

        Args:
            user_id: Whose values.
            namespace: The namespace.
            key: The key.
            by: A finite number, also negative.
            ttl: Seconds until a key that this call creates is gone; a key that is there keeps its own.

        Returns:
            The sum.

        Raises:
            InputError: An argument cannot be used, or the value is not a number.
        """
        _scope(user_id, namespace)
        if isinstance(by, bool) or not isinstance(by, int | float) or not math.isfinite(by):
            raise InputError(f"by must be a finite number, not {by!r}.")
        return await increment_value(self._database, user_id, namespace, _key(key), by, _lifetime(ttl))

    async def list(
        self,
        user_id: str,
        namespace: str,
        prefix: str = "",
        limit: int = 100,
        after: str | None = None,
        *,
        as_of: datetime | None = None,
    ) -> _Items:
        """Return pairs whose key begins with ``prefix``, taken literally, in the order of their keys.

        Args:
            user_id: Whose values.
            namespace: The namespace.
            prefix: What the keys begin with; empty: all keys.
            limit: How many at most, 1 to 10,000.
            after: The last key of the page before; None: from the beginning.
            as_of: See `get`.

        Returns:
            Dicts with ``key`` and ``value``.

        Raises:
            InputError: An argument cannot be used, or the namespace does not keep its past.
        """
        _scope(user_id, namespace, as_of)
        found = await fetch_pairs(
            self._database,
            user_id,
            namespace,
            prefix=validation.characters("prefix", prefix),
            limit=validation.count("limit", limit, most=MAX_BATCH),
            after=None if after is None else _key(after),
            as_of=as_of,
        )
        return [KVItem(key=key, value=value) for key, value in found]


def _scope(user_id: str, namespace: str, as_of: datetime | None = None) -> None:
    validation.user_id(user_id)
    _short("namespace", namespace, MAX_NAMESPACE)
    if validation.moment("as_of", as_of) is not None and namespace not in VERSIONED_NAMESPACES:
        raise InputError(
            f"Namespace {namespace!r} does not keep its past, so as_of cannot be answered; only "
            f"{', '.join(sorted(VERSIONED_NAMESPACES))} does."
        )


def _key(key: str) -> str:
    return _short("key", key, MAX_KEY)


def _short(name: str, value: str, most: int) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} must be a non-empty string, not {value!r}.")
    if (size := len(validation.characters(name, value).encode())) > most:
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
