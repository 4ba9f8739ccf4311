"""What the tests of a user's data share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import NewMemory
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.ingest.extraction.reconcile import Statement, reconcile_statements
from neuromem.store.database.users import begin_write
from neuromem.store.memories.learned import store_learned, version_chains
from neuromem.store.memories.write import statement_hash
from neuromem.testing.internals import database_of

if TYPE_CHECKING:
    from neuromem.domain.graph import Edge
    from neuromem.memory import NeuroMemory


async def now(nm: NeuroMemory) -> datetime:
    """A moment of the database's own clock, after everything so far."""
    async with database_of(nm).worker() as transaction:
        moment = await transaction.value("SELECT clock_timestamp()")
    assert isinstance(moment, datetime)
    return moment


async def relate(nm: NeuroMemory, user: str, edge_type: str, target_type: str, target: str) -> Edge:
    """Store a relation of the user to something, which is made when it is not there."""
    if await nm.graph.get_node(user, target_type, target) is None:
        await nm.graph.create_node(user, target_type, target)
    return await nm.graph.create_edge(user, "USER", user, edge_type, target_type, target)


async def state(nm: NeuroMemory, user: str = "alice", as_of: datetime | None = None) -> dict[str, Any]:
    """What is known, without what tells versions apart."""
    memories = await nm.list_memories(user, limit=1_000, as_of=as_of)
    edges = await nm.graph.list_edges(user, as_of=as_of, include_ended=True, limit=1_000)
    nodes = await nm.graph.list_nodes(user, as_of=as_of, limit=1_000)
    profile = await nm.kv.list(user, "profile", as_of=as_of)
    return {
        "memories": {
            m.id: (m.content, m.memory_type, dict(m.metadata), m.importance, m.pinned) for m in memories
        },
        "edges": {e.id: (str(e), dict(e.properties), e.valid_from, e.valid_until) for e in edges},
        "nodes": {(n.node_type.value, n.id): (dict(n.properties), n.aliases) for n in nodes},
        "profile": {item["key"]: item["value"] for item in profile},
    }


async def supersede(nm: NeuroMemory, user: str, text: str) -> None:
    """Store a fact as extraction does: it replaces what filled its place until now."""
    new = NewMemory(
        content=text, memory_type="fact", unique_key="home", origin={"by": "extractor", "extractor": "test"}
    )
    async with database_of(nm).user(user) as transaction:
        moment = await begin_write(transaction, user, 1)
        digest = statement_hash(new)
        known = await version_chains(transaction, user, hashes=[digest], unique_keys=["home"], targets=[])
        learned = reconcile_statements([Statement(new, digest)], known)
        await store_learned(transaction, user, learned, moment, tokens=EntryTokenizer("en"))
