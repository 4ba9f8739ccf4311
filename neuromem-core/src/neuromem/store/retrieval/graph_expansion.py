"""Follows what a question names through the graph to what was said about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neuromem.domain.names import name_key, names_in
from neuromem.domain.recall_result import Candidate
from neuromem.store.graph.read import edges_around_names
from neuromem.store.search_index.entries import KIND_NAMES
from neuromem.store.search_index.filters import filter_condition, kind_letters, memory_visibility

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Query
    from neuromem.store.database.database import Transaction

# The messages themselves, and the memories that were made of them.
RELATED = """
    SELECT e.kind::text AS kind, e.item, e.session_id, e.position, n.id AS message_id
    FROM unnest(CAST(:messages AS uuid[])) AS n(id) CROSS JOIN LATERAL (
        SELECT e.kind, e.item, e.session_id, e.position FROM {s}.entries e
        WHERE e.user_id = :user AND e.item = n.id AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
          AND {condition}
        UNION
        SELECT e.kind, e.item, e.session_id, e.position FROM {s}.memory_sources s
        JOIN {s}.entries e ON e.user_id = :user AND e.item = s.memory_id AND e.version = s.version
        WHERE s.user_id = :user AND s.message_id = n.id
          AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {said} AND {condition}
    ) AS e
"""

RELATIONS = 50  # that a question may bring along
FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself)\b|我", re.IGNORECASE)


async def relations_of_question(transaction: Transaction, query: Query) -> list[Edge]:
    """Return the relations of whom and what the question names, and of the user who asks in the first person."""
    keys = names_in(query.text)
    if FIRST_PERSON.search(query.text):
        keys.append(name_key(query.user_id))
    return await edges_around_names(
        transaction, query.user_id, keys, as_of=query.filters.as_of, limit=RELATIONS
    )


async def candidates_of_relations(
    transaction: Transaction, query: Query, edges: Sequence[Edge]
) -> list[Candidate]:
    """Return what relations come from, that of the nearest relation first.

    A score is one part of as many messages as there are to read before this one is surely among them: a relation
    that was told again and again leads to none of its messages in particular.
    """
    read: dict[str, int] = {}
    for edge in edges:
        told = [source for source in edge.sources if source not in read]
        read.update(dict.fromkeys(told, len(read) + len(told)))
    if not read:
        return []
    condition, params = filter_condition(query.filters)
    now = "e.superseded_at IS NULL" if query.filters.as_of is None else "true"
    _, said = memory_visibility(query.filters.as_of)
    sql = RELATED.replace("{said}", said).replace("{condition}", f"{now} AND {condition or 'true'}")
    values = {"user": query.user_id, "messages": list(read), "kinds": kind_letters(query.filters), **params}
    found = [
        Candidate(
            str(row.item),
            KIND_NAMES[row.kind],
            1.0 / read[str(row.message_id)],
            session_id=row.session_id,
            position=row.position,
        )
        for row in await transaction.all(sql, values)
    ]
    found.sort(key=lambda candidate: (-candidate.score, candidate.id))
    return found[: query.depth]
