"""Erases a session with its messages and all that was derived from it alone, as if it had never been stored.

What has other sources stays; what something erased had ended holds again. The rules for each kind stand in
`erase_memories.py`, `erase_relations.py` and, for the profile, `store.kv.profile_sources`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.conversations.erase_memories import erase_memories_of_session, extraction_moments
from neuromem.store.conversations.erase_relations import erase_relations_of_session
from neuromem.store.database.users import begin_write
from neuromem.store.kv.profile_sources import erase_session_from_profile
from neuromem.store.search_index.entries import erase_entries

if TYPE_CHECKING:
    from neuromem.store.database.database import Database

ENTRIES_OF_SESSION = (
    "SELECT entry FROM {s}.entries WHERE user_id = :user AND session_id = :session AND kind = 'm'"
)

DELETE_MESSAGES = """
    WITH deleted AS (
        DELETE FROM {s}.messages WHERE user_id = :user AND session_id = :session RETURNING name
    ), counted_speakers AS (
        UPDATE {s}.speakers s SET messages = s.messages - n.messages
        FROM (SELECT name, count(*) AS messages FROM deleted GROUP BY name) AS n
        WHERE s.user_id = :user AND s.name = n.name
    )
    SELECT count(*) FROM deleted
"""

DELETE_SESSION = "DELETE FROM {s}.sessions WHERE user_id = :user AND session_id = :session"
DELETE_SPEAKERS = "DELETE FROM {s}.speakers WHERE user_id = :user AND messages <= 0"


async def erase_session(database: Database, user_id: str, session_id: str) -> dict[str, int]:
    """Erase a session and what was derived from it alone.

    Args:
        database: The database to write to.
        user_id: Whose session.
        session_id: The session.

    Returns:
        How much was erased, by kind; zeros when there was no such session.
    """
    scope = {"user": user_id, "session": session_id}
    async with database.user(user_id) as transaction:
        await begin_write(transaction, user_id)
        moments = await extraction_moments(transaction, user_id, session_id)
        memories = await erase_memories_of_session(transaction, user_id, session_id, moments)
        edges, nodes = await erase_relations_of_session(transaction, user_id, session_id)
        profile_keys = await erase_session_from_profile(transaction, user_id, session_id, moments)
        entries = await transaction.all(ENTRIES_OF_SESSION, scope)
        await erase_entries(transaction, user_id, [row.entry for row in entries])
        messages = await transaction.value(DELETE_MESSAGES, scope)
        await transaction.run(DELETE_SPEAKERS, scope)
        sessions = await transaction.run(DELETE_SESSION, scope)
    return {
        "sessions": sessions,
        "messages": int(messages),
        "memories": memories,
        "edges": edges,
        "nodes": nodes,
        "profile": profile_keys,
    }
