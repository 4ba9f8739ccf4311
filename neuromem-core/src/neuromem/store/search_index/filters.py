"""Which entries a question may see: the filters of recall as SQL conditions.

Conditions are about ``entries e``, ``memories m``, ``memory_sources s`` or ``documents d``, and need ``:user``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.store.database.sql import TRUE, Fragment, all_of, fill
from neuromem.store.search_index.entries import KIND_LETTERS

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.domain.query import DocumentFilter, Filters

METADATA_MATCHES = """
    (e.kind = 'm' AND EXISTS (SELECT FROM {s}.messages f WHERE f.user_id = :user AND f.message_id = e.item
                              AND f.metadata @> CAST(:metadata AS jsonb))
     OR e.kind = 'k' AND EXISTS (SELECT FROM {s}.memories f WHERE f.user_id = :user AND f.memory_id = e.item
                                 AND f.version = e.version AND f.metadata @> CAST(:metadata AS jsonb))
     OR e.kind = 'd' AND e.item IN (
         SELECT p.passage_id FROM {s}.passages p WHERE p.user_id = :user AND p.document_id IN (
             SELECT f.document_id FROM {s}.documents f
             WHERE f.user_id = :user AND f.labels @> CAST(:metadata AS jsonb))))
"""

# A parameter that is NULL narrows nothing.
DOCUMENT_MATCHES = """
    (CAST(:category AS text) IS NULL OR d.category = :category)
    AND (CAST(:tags AS text[]) IS NULL OR d.tags @> CAST(:tags AS text[]))
    AND (CAST(:file_types AS text[]) IS NULL OR d.file_type = ANY(CAST(:file_types AS text[])))
"""

PASSAGE_OF_MATCHING_DOCUMENT = """
    (e.kind <> 'd' OR e.item IN (
        SELECT p.passage_id FROM {s}.passages p WHERE p.user_id = :user AND p.document_id IN (
            SELECT d.document_id FROM {s}.documents d WHERE d.user_id = :user AND {matches})))
"""


def kind_letters(filters: Filters) -> list[str]:
    """Return the letters by which the index names the kinds that take part."""
    return [KIND_LETTERS[kind] for kind in filters.kinds]


def kinds_condition(alias: str, filters: Filters) -> str:
    """Return the condition that a row is of a kind that takes part.

    It consists of comparisons, because testing against a list makes a scan a tenth slower.
    """
    letters = kind_letters(filters)
    if len(letters) == 1:
        return f"{alias}.kind = '{letters[0]}'"
    return " AND ".join(f"{alias}.kind <> '{x}'" for x in KIND_LETTERS.values() if x not in letters) or "true"


def filter_condition(filters: Filters) -> Fragment:
    """Return the condition by which the filters narrow ``entries e``; an empty fragment when nothing narrows.

    The present needs no condition for time: postings and vectors know whether they are current.
    """
    conditions: list[Fragment] = []

    def narrow(sql: str, **parameters: Any) -> None:
        conditions.append(Fragment(sql, parameters))

    if filters.as_of is not None:
        conditions.append(current_version("e", filters.as_of))
    if filters.memory_types is not None:
        narrow(
            "(e.kind <> 'k' OR e.memory_type = ANY(CAST(:types AS text[])))", types=list(filters.memory_types)
        )
    if filters.created_after is not None:
        narrow("e.created_at >= :created_after", created_after=filters.created_after)
    if filters.created_before is not None:
        narrow("e.created_at < :created_before", created_before=filters.created_before)
    if filters.event_after is not None:
        narrow("e.occurred_at >= :event_after", event_after=filters.event_after)
    if filters.event_before is not None:
        narrow("e.occurred_at < :event_before", event_before=filters.event_before)
    if filters.session_id is not None:
        narrow("e.session_id = :session_id", session_id=filters.session_id)
    if filters.documents is not None:
        conditions.append(fill(PASSAGE_OF_MATCHING_DOCUMENT, matches=document_condition(filters.documents)))
    if not filters.include_extracted and "message" in filters.kinds:
        narrow("(e.kind <> 'm' OR NOT e.extracted)")
    if filters.metadata:
        narrow(METADATA_MATCHES, metadata=json.dumps(dict(filters.metadata)))
    return all_of(conditions) if conditions else Fragment("")


def entry_condition(filters: Filters) -> Fragment:
    """Return the condition that ``entries e`` are current, now or at ``as_of``, and pass the filters."""
    if filters.as_of is not None:
        return filter_condition(filters)  # which includes the condition for that moment
    return all_of([current_version("e", None), filter_condition(filters)])


def document_condition(filters: DocumentFilter) -> Fragment:
    """Return the condition that ``documents d`` pass a filter."""
    return Fragment(
        DOCUMENT_MATCHES,
        {
            "category": filters.category,
            "tags": list(filters.tags) if filters.tags is not None else None,
            "file_types": list(filters.file_types) if filters.file_types is not None else None,
        },
    )


def current_version(alias: str, as_of: datetime | None) -> Fragment:
    """Return the condition that a row is the current version, now or as of a moment."""
    if as_of is None:
        return Fragment(f"{alias}.superseded_at IS NULL")
    return Fragment(
        f"{alias}.created_at <= :as_of AND ({alias}.superseded_at IS NULL OR {alias}.superseded_at > :as_of)",
        {"as_of": as_of},
    )


def memory_holds(as_of: datetime | None) -> Fragment:
    """Return the condition that ``memories m`` is current and has not expired, now or as of a moment."""
    moment = "now()" if as_of is None else ":as_of"
    return all_of(
        [current_version("m", as_of), Fragment(f"(m.expires_at IS NULL OR m.expires_at > {moment})")]
    )


def source_known(as_of: datetime | None) -> Fragment:
    """Return the condition that a source ``s`` of a memory was known, now or as of a moment."""
    if as_of is None:
        return TRUE
    return Fragment("(s.created_at IS NULL OR s.created_at <= :as_of)", {"as_of": as_of})
