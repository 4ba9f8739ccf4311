"""A model that digests, behind an OpenAI-compatible server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.memories import NewMemory
from neuromem.domain.text.indexed_text import EntryTokenizer
from neuromem.ingest.extraction.reconcile import Statement, reconcile_statements
from neuromem.store.database.users import begin_write
from neuromem.store.memories.learned import store_learned, version_chains
from neuromem.store.memories.write import statement_hash
from neuromem.testing.internals import database_of
from tests.ingest.extraction.model import answering

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.domain.insights import DigestResult
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import Reply, Request


def insight(content: str, evidence: list[str], **more: Any) -> dict[str, Any]:
    """An insight as a model writes it."""
    return {
        "content": content,
        "category": "pattern",
        "importance": 6,
        "evidence": evidence,
        "known": None,
        **more,
    }


def saying(*insights: Any, **more: Any) -> Callable[[Request], Reply]:
    """Answer with these insights, whatever is shown."""
    return answering(lambda shown: {"insights": list(insights), **more})


def by_word(shown: dict[str, Any]) -> dict[str, Any]:
    """Conclude, for each first word of memories, that it recurs; what is known already is reinforced."""
    said: dict[str, list[str]] = {}
    for memory in shown["memories"]:
        said.setdefault(memory["content"].split()[0], []).append(memory["id"])
    known = {known["content"]: known["id"] for known in shown["insights"]}
    found = []
    for word, names in said.items():
        text = f"Often {word}"
        pointer = {"id": known[text], "standing": "reinforces"} if text in known else None
        found.append(insight(text, names, known=pointer))
    return {"insights": found, "state": None, "nothing": None}


async def digest(nm: NeuroMemory, user: str = "alice", **options: Any) -> DigestResult:
    """Digest in the foreground."""
    result = await nm.digest(user, **options)
    assert result is not None
    return result


async def feel(
    nm: NeuroMemory,
    user: str,
    content: str,
    valence: float | None = None,
    arousal: float | None = None,
    emotion: str | None = None,
    **more: Any,
) -> str:
    """Store a memory with an emotion, as extraction does; returns its id."""
    new = NewMemory(
        content=content,
        memory_type=more.pop("memory_type", "episodic"),
        valence=valence,
        arousal=arousal,
        emotion=emotion,
        origin={"by": "extractor"},
        **more,
    )
    async with database_of(nm).user(user) as transaction:
        moment = await begin_write(transaction, user, 1)
        statement = Statement(new, statement_hash(new))
        known = await version_chains(transaction, user, hashes=[statement.digest], unique_keys=[], targets=[])
        learned = reconcile_statements([statement], known)
        await store_learned(transaction, user, learned, moment, tokens=EntryTokenizer("en"))
        known = await version_chains(transaction, user, hashes=[statement.digest], unique_keys=[], targets=[])
    return next(version.memory_id for version in known if version.current)
