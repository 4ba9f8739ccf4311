"""What a memory is in the database: its columns, and how a row becomes a `Memory`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.memories import Memory
from neuromem.store.database.sql import TRUE, fill
from neuromem.store.memories.evidence import confidence_expression
from neuromem.store.search_index.filters import source_known

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.store.database.rows import Row
    from neuromem.store.database.sql import Fragment

COLUMNS = """
    m.memory_id, m.user_id, m.version, m.memory_type, m.content, m.metadata, m.created_at, m.superseded_at,
    m.occurred_at, m.valid_from, m.valid_until, m.importance, {confidence}, m.valence, m.arousal, m.emotion,
    m.category, m.origin, m.subject, m.entities, m.pinned, m.expires_at,
    ARRAY(SELECT s.message_id FROM {s}.memory_sources s WHERE s.user_id = m.user_id
          AND s.memory_id = m.memory_id AND s.version = m.version AND {source_known} ORDER BY s.message_id) AS sources
"""

MEMORY_COLUMNS = fill(COLUMNS, confidence="m.confidence", source_known=TRUE).sql
"""The columns of a memory as they are stored; the confidence of an insight is the one it was created with."""


def memory_columns(as_of: datetime | None) -> Fragment:
    """Return the columns of memory m as they were known now or at ``as_of``.

    Sources that a version got later are left out. The confidence of an insight is what its evidence gives it at that
    moment.
    """
    confidence = fill("{expression} AS confidence", expression=confidence_expression(as_of))
    return fill(COLUMNS, confidence=confidence, source_known=source_known(as_of))


def memory_from_row(row: Row) -> Memory:
    """Return the memory in a row of `MEMORY_COLUMNS` or `memory_columns`."""
    return Memory(
        id=str(row["memory_id"]),
        user_id=row["user_id"],
        version=row["version"],
        memory_type=row["memory_type"],
        content=row["content"],
        metadata=row["metadata"],
        created_at=row["created_at"],
        superseded_at=row["superseded_at"],
        occurred_at=row["occurred_at"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        importance=row["importance"],
        confidence=row["confidence"],
        valence=row["valence"],
        arousal=row["arousal"],
        emotion=row["emotion"],
        category=row["category"],
        origin=row["origin"],
        sources=tuple(str(source) for source in row["sources"]),
        subject=row["subject"],
        entities=tuple(row["entities"]),
        pinned=row["pinned"],
        expires_at=row["expires_at"],
    )
