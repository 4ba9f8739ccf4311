"""The filter of `list_memories` and `delete_memories`, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.errors import InputError
from neuromem.store.memories.query import MemoryFilter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


def checked_filter(
    memory_type: str | Sequence[str] | None,
    *,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    event_after: datetime | None = None,
    event_before: datetime | None = None,
    min_importance: float | None = None,
    max_importance: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    pinned: bool | None = None,
    archived: bool = False,
    as_of: datetime | None = None,
) -> MemoryFilter:
    """Return the filter that the arguments describe; None leaves open.

    Raises:
        InputError: For a value that cannot be used, and for ``archived`` together with ``as_of``.
    """
    types = [memory_type] if isinstance(memory_type, str) else memory_type
    if archived and as_of is not None:
        raise InputError("archived=True speaks of the present; leave as_of away.")
    return MemoryFilter(
        memory_types=None if types is None else tuple(validation.memory_type(one) for one in types),
        created_after=validation.moment("created_after", created_after),
        created_before=validation.moment("created_before", created_before),
        event_after=validation.moment("event_after", event_after),
        event_before=validation.moment("event_before", event_before),
        min_importance=validation.number("min_importance", min_importance, 0, 10),
        max_importance=validation.number("max_importance", max_importance, 0, 10),
        metadata=validation.metadata(metadata),
        pinned=pinned,
        archived=archived,
        as_of=validation.moment("as_of", as_of),
    )
