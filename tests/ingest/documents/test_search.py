"""Finding documents: filters, recall, what is shown, and what stays apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import InputError
from tests.conftest import opened

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from neuromem_local import FolderStorage


@pytest.fixture
async def filled(nm: NeuroMemory) -> NeuroMemory:
    """Four documents about whales."""
    upload = nm.files.upload
    await upload("alice", "song.txt", b"The whale sings.", "music", ["sea", "sound"], {"year": 1970})
    await upload("alice", "diet.md", b"The whale eats krill.", "biology", ["sea"], {"year": 1980})
    await upload("alice", "size.csv", b"animal,size\nwhale,large\n", "biology", ["sound"])
    await nm.files.create_from_text("alice", "Plans", "The whale watching is on Sunday.")
    await nm.drain()
    return nm


async def test_filters_narrow_the_search_and_the_list(filled: NeuroMemory) -> None:
    async def names(**filters: object) -> set[str]:
        found = await filled.files.search("alice", "whale", **filters)  # type: ignore[arg-type]
        names = {passage.document.filename for passage in found}
        if "metadata" not in filters:
            listed = await filled.files.list("alice", **filters)  # type: ignore[arg-type]
            assert {document.filename for document in listed} == names
        return names

    assert await names() == {"song.txt", "diet.md", "size.csv", "Plans"}
    assert await names(category="biology") == {"diet.md", "size.csv"}
    assert await names(tags=["sea"]) == {"song.txt", "diet.md"}
    assert await names(tags=["sound", "sea"]) == {"song.txt"}
    assert await names(file_types=["md", "csv"]) == {"diet.md", "size.csv"}
    assert await names(category="biology", tags=["sound"], file_types=["csv", "txt"]) == {"size.csv"}
    assert await names(metadata={"year": 1980}) == {"diet.md"}
    assert await names(metadata={"category": "music", "tags": ["sea"]}) == {"song.txt"}
    assert await names(category="history") == set()


async def test_recall_finds_passages_when_asked_for_documents_only(filled: NeuroMemory) -> None:
    await filled.ingest("alice", "user", "I saw a whale today.")
    plain = await filled.recall("alice", "whale")
    assert {item["memory_type"] for item in plain["merged"]} == {"message"}
    found = await filled.recall("alice", "What does the whale eat?", memory_type="document")
    best = found["merged"][0]
    assert (best["content"], best["memory_type"], best["sources"]) == (
        "The whale eats krill.",
        "document",
        [],
    )
    shown = {key: best["metadata"][key] for key in ("filename", "category", "tags", "position", "year")}
    assert shown == {
        "filename": "diet.md",
        "category": "biology",
        "tags": ["sea"],
        "position": 0,
        "year": 1980,
    }
    document = await filled.files.get("alice", best["metadata"]["document_id"])
    assert document is not None
    assert best["created_at"] == document.created_at
    narrowed = await filled.recall(
        "alice", "whale", memory_type="document", metadata={"filename": "song.txt"}
    )
    assert [item["content"] for item in narrowed["merged"]] == ["The whale sings."]
    assert found["vector_results"]
    assert found["bm25_results"]
    before = await filled.recall("alice", "whale", memory_type="document", as_of=document.created_at)
    assert len(before["merged"]) == 2  # those that were there at that moment


async def test_words_are_found_at_once_and_names_of_files_are_words(
    database_url: str, folder: FolderStorage
) -> None:
    async with opened(database_url, storage=folder, worker=False) as nm:
        stored = await nm.files.upload("alice", "acme-invoice.txt", b"Total: 300")
        (found,) = await nm.files.search("alice", "invoice of acme")
        assert found.document == stored
        assert (await nm.recall("alice", "invoice"))["pending"] == 1


async def test_a_long_document_is_found_at_the_right_place(nm: NeuroMemory) -> None:
    chapters = [f"Chapter {n} is about topic{n}. " + "Here much is said, and more. " * 50 for n in range(20)]
    stored = await nm.files.create_from_text("alice", "Book", "\n\n".join(chapters))
    assert stored.passages >= 20
    (best, *_) = await nm.files.search("alice", "topic13")
    assert "topic13" in best.content
    text = (await nm.files.download("alice", stored.id)).decode()
    assert text == "\n\n".join(chapters)
    assert text[best.start : best.start + len(best.content)] == best.content
    everything = await nm.files.search("alice", "chapter much said", limit=100)
    assert len({passage.position for passage in everything}) > 15


async def test_chinese_documents_are_found_by_chinese_words(nm: NeuroMemory) -> None:
    await nm.files.upload("alice", "会议.txt", "我们决定推迟发布新版本。".encode("gb18030"))
    await nm.files.upload("alice", "晚餐.txt", "今天晚上吃面条。".encode())
    (best, *_) = await nm.files.search("alice", "发布什么时候")
    assert best.document.filename == "会议.txt"


async def test_texts_have_no_object(nm: NeuroMemory, folder: FolderStorage) -> None:
    stored = await nm.files.create_from_text("alice", "Q1/Q2 plans", "We move to Lima.", tags=["plan"])
    assert (stored.object_key, stored.filename, stored.file_type) == (None, "Q1/Q2 plans", "txt")
    assert not folder.root.exists()
    assert await nm.files.download("alice", stored.id) == b"We move to Lima."
    page = await nm.files.create_from_text("alice", "page.html", "<p>Hello <b>there</b>")
    assert page.file_type == "html"
    assert await nm.files.delete("alice", stored.id)
    for text in ("", " ", "a\0b", "\ud800"):
        with pytest.raises(InputError):
            await nm.files.create_from_text("alice", "Note", text)


async def test_lists_are_pages_newest_first(nm: NeuroMemory) -> None:
    made = [await nm.files.create_from_text("alice", f"Note {n}", f"Number {n}") for n in range(5)]
    newest = made[::-1]
    assert await nm.files.list("alice", limit=2) == newest[:2]
    assert await nm.files.list("alice", limit=2, offset=2) == newest[2:4]
    assert await nm.files.list("bob") == []
    with pytest.raises(InputError, match="file_types"):
        await nm.files.list("alice", file_types=["exe"])  # type: ignore[list-item]


async def test_a_document_deleted_while_it_is_embedded_leaves_nothing(nm: NeuroMemory) -> None:
    for n in range(3):
        stored = await nm.files.create_from_text("alice", f"Note {n}", "Some words. " * 500)
        await asyncio.sleep(0.01 * n)
        assert await nm.files.delete("alice", stored.id)
    assert await nm.drain(timeout=60) == 0
    assert (await nm.recall("alice", "words", memory_type="document"))["merged"] == []
