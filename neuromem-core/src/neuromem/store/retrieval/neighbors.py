"""Neighbors: the messages before and after others of the same session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.domain.recall_result import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.recall_result import RetrievedItem
    from neuromem.store.database.database import Transaction

SELECT_TURNS = """
    SELECT n.item, m.message_id::text AS id, m.role, m.name, m.content, m.occurred_at,
           m.position - n.position AS distance
    FROM unnest(CAST(:items AS text[]), CAST(:sessions AS text[]), CAST(:positions AS int[]))
         AS n(item, session_id, position) CROSS JOIN LATERAL (
        SELECT m.message_id, m.role, m.name, m.content, m.occurred_at, m.position FROM {s}.messages m
        WHERE m.user_id = :user AND m.session_id = n.session_id AND m.position <> n.position
          AND m.position BETWEEN n.position - CAST(:reach AS int) AND n.position + CAST(:reach AS int)
          AND (CAST(:as_of AS timestamptz) IS NULL OR m.created_at <= :as_of)
        OFFSET 0
    ) AS m
    ORDER BY n.item, m.position
"""


async def turns_around(
    transaction: Transaction, user_id: str, items: Sequence[RetrievedItem], reach: int, as_of: datetime | None
) -> Mapping[str, Sequence[Turn]]:
    """Return the turns near messages, by the ids of these, in the order of the conversation.

    Args:
        transaction: A transaction of the user.
        user_id: The user.
        items: The messages, each with its session and position.
        reach: How many turns before and after each are returned at the most.
        as_of: Leaves out what was stored later; None is now.
    """
    rows = await transaction.all(
        SELECT_TURNS,
        {
            "user": user_id,
            "items": [item.id for item in items],
            "sessions": [item.session_id for item in items],
            "positions": [item.position for item in items],
            "reach": reach,
            "as_of": as_of,
        },
    )
    turns: dict[str, list[Turn]] = {item.id: [] for item in items}
    for item_id, message_id, role, name, content, occurred_at, distance in rows:
        turns[item_id].append(
            Turn(
                id=message_id,
                role=role,
                name=name,
                content=content,
                occurred_at=occurred_at,
                distance=distance,
            )
        )
    return turns
