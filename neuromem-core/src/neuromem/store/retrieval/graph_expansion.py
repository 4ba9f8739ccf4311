"""Graph expansion: from the names in a question over relations to the messages and memories they come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from neuromem.domain.names import name_key, names_in
from neuromem.domain.recall_result import Candidate
from neuromem.store.database.sql import fill
from neuromem.store.graph.read import edges_around_names
from neuromem.store.search_index.entries import KIND_NAMES
from neuromem.store.search_index.filters import entry_condition, kind_letters, source_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.graph import Edge
    from neuromem.domain.query import Query
    from neuromem.store.database.database import Transaction

SELECT_MESSAGES_AND_MEMORIES = """
    SELECT e.kind::text AS kind, e.item, e.session_id, e.position, n.id AS message_id
    FROM unnest(CAST(:messages AS uuid[])) AS n(id) CROSS JOIN LATERAL (
        SELECT e.kind, e.item, e.session_id, e.position FROM {s}.entries e
        WHERE e.user_id = :user AND e.item = n.id AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[]))
          AND {condition}
        UNION
        SELECT e.kind, e.item, e.session_id, e.position FROM {s}.memory_sources s
        JOIN {s}.entries e ON e.user_id = :user AND e.item = s.memory_id AND e.version = s.version
        WHERE s.user_id = :user AND s.message_id = n.id
          AND e.kind = ANY(CAST(CAST(:kinds AS text[]) AS "char"[])) AND {source_known} AND {condition}
    ) AS e
"""

MAX_RELATIONS = 50  # of one question
FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself)\b|我", re.IGNORECASE)


async def relations_of_question(transaction: Transaction, query: Query) -> list[Edge]:
    """Return the relations of the names in a question, and of the user where it speaks in the first person.

    Args:
        transaction: A transaction of the user.
        query: The question.
    """
    keys = names_in(query.text)
    if FIRST_PERSON.search(query.text):
        keys.append(name_key(query.user_id))
    return await edges_around_names(
        transaction, query.user_id, keys, as_of=query.filters.as_of, limit=MAX_RELATIONS
    )


async def candidates_of_relations(
    transaction: Transaction, query: Query, edges: Sequence[Edge]
) -> list[Candidate]:
    """Return the messages and memories that relations come from, those of the nearest relation first.

    The score of a message is 1 / n, where n is the number of messages of this relation and of those before it: a
    relation that was mentioned in many messages leads to none of them in particular.

    Args:
        transaction: A transaction of the user.
        query: The question, with its filters.
        edges: The relations, the nearest first.
    """
    ranks: dict[str, int] = {}
    for edge in edges:
        new_sources = [source for source in edge.sources if source not in ranks]
        ranks.update(dict.fromkeys(new_sources, len(ranks) + len(new_sources)))
    if not ranks:
        return []
    statement = fill(
        SELECT_MESSAGES_AND_MEMORIES,
        condition=entry_condition(query.filters),
        source_known=source_known(query.filters.as_of),
    )
    values = {"user": query.user_id, "messages": list(ranks), "kinds": kind_letters(query.filters)}
    found = [
        Candidate(
            str(row.item),
            KIND_NAMES[row.kind],
            1.0 / ranks[str(row.message_id)],
            session_id=row.session_id,
            position=row.position,
        )
        for row in await transaction.all(statement, values)
    ]
    found.sort(key=lambda candidate: (-candidate.score, candidate.id))
    return found[: query.depth]
