"""The profile of an entity: facts, relations and messages about a person or thing, by any of its names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from neuromem.domain.names import name_key
from neuromem.domain.text.tokenizer import tokenize
from neuromem.store.conversations.messages import MESSAGE_COLUMNS, message_from_row
from neuromem.store.database.sql import fill
from neuromem.store.graph.read import edge_from_row
from neuromem.store.graph.view import GraphView
from neuromem.store.memories.memory_rows import MEMORY_COLUMNS, memory_from_row
from neuromem.store.search_index.filters import memory_holds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.graph import Edge
    from neuromem.domain.memories import Memory
    from neuromem.domain.messages import Message
    from neuromem.store.database.database import Database

MAX_ITEMS = 500  # of facts, relations and messages each

SELECT_NAMES = """
    SELECT a.name, a.key, a.alias, u.language
    FROM (SELECT) AS one LEFT JOIN {s}.users u ON u.user_id = :user
    LEFT JOIN {s}.node_names a ON a.user_id = :user AND a.superseded_at IS NULL AND a.node IN (
        SELECT n.node FROM {s}.node_names n WHERE n.user_id = :user AND n.key = :key AND n.superseded_at IS NULL)
    ORDER BY a.alias, a.created_at, a.key
"""

# Items with all the words of one of the names; that the words are adjacent is checked in the text (`_mentions`).
ITEMS_WITH_NAME = """
    SELECT e.item FROM unnest(CAST(:place AS int[]), CAST(:term AS text[])) AS n(place, term)
    JOIN {s}.postings p ON p.user_id = :user AND p.kind = CAST(:kind AS text)::"char" AND p.current AND p.term = n.term
    JOIN {s}.entries e ON e.user_id = :user AND e.entry = p.entry
    GROUP BY e.item, n.place HAVING count(*) = (CAST(:sizes AS int[]))[n.place]
"""

SELECT_FACTS = fill(
    """
    SELECT {columns} FROM {s}.memories m
    WHERE m.user_id = :user AND {holds} AND (
        m.memory_id IN ({items_with_name}) OR lower(m.subject) = ANY(CAST(:keys AS text[]))
        OR EXISTS (SELECT FROM unnest(m.entities) AS x(name) WHERE lower(x.name) = ANY(CAST(:keys AS text[]))))
    ORDER BY coalesce(m.occurred_at, m.created_at) DESC, m.memory_id LIMIT :limit
""",
    columns=MEMORY_COLUMNS,
    holds=memory_holds(None),
    items_with_name=ITEMS_WITH_NAME,
)

SELECT_MESSAGES = fill(
    """
    SELECT {columns} FROM {s}.messages WHERE user_id = :user AND message_id IN ({items_with_name})
    ORDER BY occurred_at DESC, message_id LIMIT :limit
""",
    columns=MESSAGE_COLUMNS,
    items_with_name=ITEMS_WITH_NAME,
)

SELECT_EDGES = """
    SELECT {edge} FROM (
        SELECT e.* FROM {s}.edges e WHERE {edge_visible} AND (
            e.source IN (SELECT n.node FROM {s}.node_names n
                         WHERE n.user_id = :user AND n.key = ANY(CAST(:keys AS text[])) AND {current_n})
            OR e.target IN (SELECT n.node FROM {s}.node_names n
                            WHERE n.user_id = :user AND n.key = ANY(CAST(:keys AS text[])) AND {current_n}))
        ORDER BY e.created_at DESC, e.edge_id LIMIT :limit
    ) e {ends}
    ORDER BY e.created_at DESC, e.edge_id
"""


async def read_entity_profile(database: Database, user_id: str, entity: str, language: str) -> dict[str, Any]:
    """Return what is known of an entity, newest first; lists are empty where nothing is known.

    Args:
        database: The database.
        user_id: The user.
        entity: A name or alias of the entity.
        language: The language of its name when the user's is not known.

    Returns:
        A dict with ``entity`` (the name), ``aliases``, ``facts``, ``relations``, ``messages`` and ``timeline``, whose
        items have ``at, kind, id, content``.
    """
    view = GraphView(ended=True)
    async with database.reader(user_id) as transaction:
        names = await transaction.all(SELECT_NAMES, {"user": user_id, "key": name_key(entity)})
        known = {row.key: row.name for row in names if row.key is not None} or {name_key(entity): entity}
        name_tokens = [tokenize(name, names[0].language or language) for name in known.values()]
        values = {
            "user": user_id,
            "keys": list(known),
            "limit": MAX_ITEMS,
            "place": [i for i, tokens in enumerate(name_tokens, 1) for _ in set(tokens)],
            "term": [token for tokens in name_tokens for token in sorted(set(tokens))],
            "sizes": [len(set(tokens)) for tokens in name_tokens],
        }
        facts = [memory_from_row(r) for r in await transaction.all(SELECT_FACTS, {**values, "kind": "k"})]
        messages = [
            message_from_row(r) for r in await transaction.all(SELECT_MESSAGES, {**values, "kind": "m"})
        ]
        edges = [edge_from_row(user_id, r) for r in await transaction.all(view.fill(SELECT_EDGES), values)]
    facts = [fact for fact in facts if _is_about(fact, known)]
    messages = [message for message in messages if _mentions(message.content, known)]
    return {
        "entity": next(iter(known.values())),
        "aliases": list(known.values())[1:],
        "facts": facts,
        "relations": edges,
        "messages": messages,
        "timeline": _timeline(facts, edges, messages),
    }


def _is_about(memory: Memory, keys: dict[str, str]) -> bool:
    names = (memory.subject or "", *memory.entities)
    return any(name_key(name) in keys for name in names) or _mentions(memory.content, keys)


def _mentions(content: str, keys: dict[str, str]) -> bool:
    text = name_key(content)
    return any(key in text for key in keys)


def _timeline(
    facts: Sequence[Memory], edges: Sequence[Edge], messages: Sequence[Message]
) -> list[dict[str, Any]]:
    dated: list[tuple[datetime, str, str, str]] = [
        *((f.valid_from or f.occurred_at or f.created_at, "fact", f.id, f.content) for f in facts),
        *((e.valid_from or e.created_at, "relation", e.id, str(e)) for e in edges),
        *((m.occurred_at, "message", m.id, m.content) for m in messages),
    ]
    dated.sort(key=lambda entry: (entry[0].astimezone(UTC), *entry[1:3]))
    return [{"at": at, "kind": kind, "id": id_, "content": content} for at, kind, id_, content in dated]
