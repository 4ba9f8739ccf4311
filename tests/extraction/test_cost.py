"""What an extraction costs of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.support.statements import Statements
from neuromem.domain.extraction import ExtractedMemory, ExtractedRelation, Extraction
from neuromem.plugin import Context, StageSpec, hookimpl
from neuromem.store import jobs
from tests.conftest import opened

if TYPE_CHECKING:
    from neuromem.domain.extraction import Window
    from neuromem.plugin import Extractor


class Prolific:
    """Makes five facts, three episodes and three relations of every window."""

    async def extract(self, window: Window) -> Extraction:
        (message,) = window.messages
        what = message.content
        return Extraction(
            memories=[
                *(ExtractedMemory(f"{what} fact {i}", "fact", (message.id,)) for i in range(5)),
                *(
                    ExtractedMemory(f"{what} day {i}", "episodic", (message.id,), occurred_at=message.occurred_at)
                    for i in range(3)
                ),
            ],
            relations=[
                ExtractedRelation("Alice", "PERSON", relation, what, "ENTITY", (message.id,))
                for relation in ("LIVES_IN", "USES", "mentors")
            ],
            complete=True,
        )  # fmt: skip


class Plugin:
    @hookimpl
    def neuromem_extractors(self) -> list[StageSpec[Extractor]]:
        def build(ctx: Context) -> Extractor:
            return Prolific()

        return [StageSpec("prolific", build, "Makes much of little", default=True)]


async def test_an_extraction_takes_at_most_twelve_statements(database_url: str) -> None:
    async with opened(database_url, plugins=[Plugin()], graph_enabled=True, worker=False) as nm:
        for text in ("first", "second"):
            await nm.ingest("alice", "user", text)
        rooms = nm._open_rooms
        sent = Statements(nm)
        handler = rooms.worker._handlers["extract:prolific"]
        for _ in range(2):
            claim = await jobs.claim(
                rooms.database, ["extract:prolific"], after="", most={"extract": 1}, seconds=60
            )
            assert claim is not None
            sent.reset()
            assert await handler(claim) == {}
            assert 0 < sent.statements <= 12
        async with rooms.database.user("alice") as transaction:
            counts = await transaction.first(
                "SELECT (SELECT count(*) FROM {s}.memories) AS memories, (SELECT count(*) FROM {s}.edges) AS edges"
            )
        assert counts is not None
        assert counts.memories == 16
        assert counts.edges >= 6
