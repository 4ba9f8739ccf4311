"""Decides what is left of the versions of a profile when messages are erased; without the database.

The rule (`versions_without`): a value that only erased messages support is removed from every version, what such a
version had replaced or removed holds again, and what the user set by hand stays. A value is compared by its hash; of a
list every item is a value of its own (`comparable_items`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from neuromem.domain.names import name_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime


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
