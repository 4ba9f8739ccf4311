"""Which entries a question may see: the filters of recall as SQL over ``entries e``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neuromem.store.search_index.entries import KIND_LETTERS

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.domain.query import DocumentFilter, Filters

METADATA = """
    (e.kind = 'm' AND EXISTS (SELECT FROM {s}.messages f WHERE f.user_id = :user AND f.message_id = e.item
                              AND f.metadata @> CAST(:metadata AS jsonb))
     OR e.kind = 'k' AND EXISTS (SELECT FROM {s}.memories f WHERE f.user_id = :user AND f.memory_id = e.item
                                 AND f.version = e.version AND f.metadata @> CAST(:metadata AS jsonb))
     OR e.kind = 'd' AND e.item IN (
         SELECT p.passage_id FROM {s}.passages p WHERE p.user_id = :user AND p.document_id IN (
             SELECT f.document_id FROM {s}.documents f
             WHERE f.user_id = :user AND f.labels @> CAST(:metadata AS jsonb))))
"""

# What narrows `documents d`; a NULL leaves open.
DOCUMENT_MATCHES = """
    (CAST(:category AS text) IS NULL OR d.category = :category)
    AND (CAST(:tags AS text[]) IS NULL OR d.tags @> CAST(:tags AS text[]))
    AND (CAST(:file_types AS text[]) IS NULL OR d.file_type = ANY(CAST(:file_types AS text[])))
"""

DOCUMENTS = f"""
    (e.kind <> 'd' OR e.item IN (
        SELECT p.passage_id FROM {{s}}.passages p WHERE p.user_id = :user AND p.document_id IN (
            SELECT d.document_id FROM {{s}}.documents d WHERE d.user_id = :user AND {DOCUMENT_MATCHES})))
"""


def kind_letters(filters: Filters) -> list[str]:
    """Return the letters of the kinds that take part."""
    return [KIND_LETTERS[kind] for kind in filters.kinds]


def kinds_condition(alias: str, filters: Filters) -> str:
    """Return the SQL for "is of a kind that takes part", made of comparisons: a list costs a scan a tenth more."""
    asked = kind_letters(filters)
    if len(asked) == 1:
        return f"{alias}.kind = '{asked[0]}'"
    return " AND ".join(f"{alias}.kind <> '{x}'" for x in KIND_LETTERS.values() if x not in asked) or "true"


def filter_condition(filters: Filters) -> tuple[str, dict[str, Any]]:
    """Return the SQL that narrows ``entries e`` and its parameters; empty when nothing narrows.

    The current state needs no condition for time: postings and vectors know whether they are current.
    """
    terms: list[str] = []
    params: dict[str, Any] = {}

    def term(sql: str, **values: Any) -> None:
        terms.append(sql)
        params.update(values)

    if filters.as_of is not None:
        term(visible_at("e"), as_of=filters.as_of)
    if filters.memory_types is not None:
        term(
            "(e.kind <> 'k' OR e.memory_type = ANY(CAST(:types AS text[])))", types=list(filters.memory_types)
        )
    if filters.created_after is not None:
        term("e.created_at >= :created_after", created_after=filters.created_after)
    if filters.created_before is not None:
        term("e.created_at < :created_before", created_before=filters.created_before)
    if filters.event_after is not None:
        term("e.occurred_at >= :event_after", event_after=filters.event_after)
    if filters.event_before is not None:
        term("e.occurred_at < :event_before", event_before=filters.event_before)
    if filters.session_id is not None:
        term("e.session_id = :session_id", session_id=filters.session_id)
    if filters.documents is not None:
        term(DOCUMENTS, **document_filter_parameters(filters.documents))
    if not filters.include_extracted and "message" in filters.kinds:
        term("(e.kind <> 'm' OR NOT e.extracted)")
    if filters.metadata:
        term(METADATA, metadata=json.dumps(dict(filters.metadata)))
    return " AND ".join(terms), params


def visible_at(alias: str) -> str:
    """Return the SQL for "was the current version at :as_of"."""
    return (
        f"{alias}.created_at <= :as_of AND ({alias}.superseded_at IS NULL OR {alias}.superseded_at > :as_of)"
    )


def memory_visibility(as_of: datetime | None) -> tuple[str, str]:
    """Return the SQL for "memory m holds" and "source s of it was known", now or at :as_of."""
    if as_of is None:
        return "m.superseded_at IS NULL AND (m.expires_at IS NULL OR m.expires_at > now())", "true"
    holds = f"{visible_at('m')} AND (m.expires_at IS NULL OR m.expires_at > :as_of)"
    return holds, "(s.created_at IS NULL OR s.created_at <= :as_of)"


def document_filter_parameters(which: DocumentFilter) -> dict[str, Any]:
    """Return the parameters of `DOCUMENT_MATCHES`."""
    return {
        "category": which.category,
        "tags": list(which.tags) if which.tags is not None else None,
        "file_types": list(which.file_types) if which.file_types is not None else None,
    }
