"""The language of a user and of a call: the same stemming for what is stored and for what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuromem import InputError

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory

GERMAN = ("Die Häuser am Fluss sind verkauft", "Wurde das Haus verkauft?")
FRENCH = ("Nous avons acheté des chevaux et des journaux", "Qui achète un journal ?")


async def by_words(nm: NeuroMemory, user: str, question: str, language: str | None = None) -> list[str]:
    found = await nm.recall(user, question, language=language)
    return [item["content"] for item in found["bm25_results"]]


@pytest.mark.parametrize(("language", "text", "question"), [("de", *GERMAN), ("fr-CA", *FRENCH)])
async def test_a_users_language_stems_what_is_stored_and_asked(
    nm: NeuroMemory, language: str, text: str, question: str
) -> None:
    await nm.set_language("alice", language)
    await nm.ingest("alice", "user", text)
    await nm.add_memory("alice", f"{text}.", "fact")
    assert len(await by_words(nm, "alice", question)) == 2
    (user,) = {item["content"].rstrip(".") for item in (await nm.recall("alice", question))["merged"]}
    assert user == text


async def test_a_call_has_a_language_of_its_own(nm: NeuroMemory) -> None:
    await nm.ingest("bob", "user", "Ich ging in viele Geschäfte", language="de")
    await nm.ingest("bob", "user", "She went to many shops", language="en")
    assert await by_words(nm, "bob", "Geschäft", "de") == ["Ich ging in viele Geschäfte"]
    assert await by_words(nm, "bob", "in", "de") == []
    assert await by_words(nm, "bob", "shopping", "en") == ["She went to many shops"]


async def test_a_language_that_changes_holds_at_once_and_for_one_user(nm: NeuroMemory) -> None:
    for user in ("alice", "bob"):
        await nm.ingest(user, "user", "Viele Geschäfte", language="de")
        assert await by_words(nm, user, "Geschäfte") == []
    await nm.set_language("alice", "de")
    assert await by_words(nm, "alice", "Geschäfte") == ["Viele Geschäfte"]
    assert await by_words(nm, "bob", "Geschäfte") == []
    await nm.set_language("alice", None)
    assert await by_words(nm, "alice", "Geschäfte") == []


@pytest.mark.parametrize("wrong", ["", "german", "d", "de;drop", 3])
async def test_what_is_no_language_is_said(nm: NeuroMemory, wrong: str) -> None:
    with pytest.raises(InputError, match="language must be a tag"):
        await nm.set_language("alice", wrong)
    with pytest.raises(InputError, match="language must be a tag"):
        await nm.recall("alice", "Haus", language=wrong)
