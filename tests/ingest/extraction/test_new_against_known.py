"""What is said again, refined, contradicted or merely similar."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from neuromem.testing.internals import database_of
from tests.conftest import opened
from tests.ingest.extraction.conftest import FAST
from tests.ingest.extraction.model import answering, asked, llm

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer


def fact(content: str, **more: Any) -> dict[str, Any]:
    return {"content": content, **more}  # of one new message: that is its source


def pointing(shown: dict[str, Any], content: str, standing: str, reason: str | None = None) -> dict[str, Any]:
    """What an item says about the known memory of this content."""
    known = {memory["content"]: memory["id"] for memory in shown["known"]}
    return {"known": {"id": known[content], "standing": standing, "reason": reason}}


async def say(
    nm: NeuroMemory, model: HttpServer, text: str, *facts: dict[str, Any], user: str = "alice"
) -> str:
    """Say something of which the model makes these facts; returns the message's id."""
    model.always = answering(lambda shown: {"facts": list(facts)})
    message = await nm.ingest(user, "user", text)
    await nm.drain()
    return message.id


async def facts(nm: NeuroMemory, user: str = "alice") -> dict[str, list[str]]:
    """The current facts, each with its sources."""
    found = await nm.recall(
        user, "Alice lives works drinks likes hobby Paris Rome", 100, include_conversations=False
    )
    return {item["content"]: sorted(item["sources"]) for item in found["merged"]}


async def versions(nm: NeuroMemory, user: str = "alice") -> list[tuple[str, int, str | None]]:
    """Every version in the database: content, number, why it was superseded."""
    async with database_of(nm).user(user) as transaction:
        rows = await transaction.all(
            "SELECT content, version, superseded_why FROM {s}.memories ORDER BY created_at, version"
        )
    return [(row.content, row.version, row.superseded_why) for row in rows]


async def test_the_same_statement_is_reinforced_whatever_its_case_and_width(
    nm: NeuroMemory, model: HttpServer
) -> None:
    first = await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    second = await say(nm, model, "tea!", fact("alice  drinks  ｔｅａ"))
    assert await facts(nm) == {"Alice drinks tea.": sorted([first, second])}


async def test_a_batch_that_says_it_twice_stores_it_once(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "tea tea", fact("Alice drinks tea."), fact("Alice drinks tea"))
    assert list(await facts(nm)) == ["Alice drinks tea."]


async def test_parallel_ingests_store_a_statement_once(nm: NeuroMemory, model: HttpServer) -> None:
    model.always = answering(lambda shown: {"facts": [fact("Alice drinks tea.")]})
    said = await asyncio.gather(*(nm.ingest("alice", "user", f"I drink tea {i}") for i in range(5)))
    await nm.drain()
    assert await facts(nm) == {"Alice drinks tea.": sorted(message.id for message in said)}


async def test_paris_rome_paris_ends_in_paris_and_keeps_everything(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await say(nm, model, "I live in Paris", fact("Alice lives in Paris."))
    model.always = answering(
        lambda shown: {
            "facts": [fact("Alice lives in Rome.", **pointing(shown, "Alice lives in Paris.", "contradicts"))]
        }
    )
    await nm.ingest("alice", "user", "I live in Rome now, not in Paris")
    await nm.drain()
    assert list(await facts(nm)) == ["Alice lives in Rome."]
    await say(nm, model, "I live in Paris again", fact("Alice lives in Paris."))
    assert list(await facts(nm)) == ["Alice lives in Paris."]
    assert await versions(nm) == [
        ("Alice lives in Paris.", 1, "contradicted"),
        ("Alice lives in Rome.", 2, "contradicted"),
        ("Alice lives in Paris.", 3, None),
    ]


async def test_a_refined_statement_stays_refined_when_the_vague_one_is_said_again(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await say(nm, model, "I work at Google", fact("Alice works at Google."))
    better = "Alice works at Google as a backend engineer."
    model.always = answering(
        lambda shown: {"facts": [fact(better, **pointing(shown, "Alice works at Google.", "refines"))]}
    )
    await nm.ingest("alice", "user", "At Google I work as a backend engineer")
    await nm.drain()
    await say(nm, model, "as I said, Google", fact("Alice works at Google."))
    assert list(await facts(nm)) == [better]
    assert [why for _, _, why in await versions(nm)] == ["refined", None]


async def test_what_the_model_calls_a_repetition_reinforces_that_memory(
    nm: NeuroMemory, model: HttpServer
) -> None:
    first = await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    model.always = answering(
        lambda shown: {
            "facts": [fact("Tea is what Alice drinks", **pointing(shown, "Alice drinks tea.", "repeats"))]
        }
    )
    second = await nm.ingest("alice", "user", "tea is what I drink")
    await nm.drain()
    assert await facts(nm) == {"Alice drinks tea.": sorted([first, second.id])}


async def test_likeness_replaces_nothing(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I like tea", fact("Alice likes to drink tea."))
    await say(nm, model, "I like coffee", fact("Alice likes to drink coffee."))
    await say(
        nm, model, "My hobby is chess", fact("Chess is a hobby of Alice."), fact("Golf is a hobby of Alice.")
    )
    assert len(await facts(nm)) == 4


async def test_what_one_has_one_of_at_a_time_replaces_its_predecessor_of_the_same_subject(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await say(nm, model, "Paris", fact("Alice lives in Paris.", subject="Alice", states="LIVES_IN"))
    await say(nm, model, "Bob", fact("Bob lives in Oslo.", subject="Bob", states="LIVES_IN"))
    await say(nm, model, "Rome", fact("Alice lives in Rome.", subject="the user", states="lives_in"))
    past = fact("Alice lived in Bonn.", subject="Alice", states="LIVES_IN", valid_until="2001")
    await say(nm, model, "Bonn, long ago", past)
    assert set(await facts(nm)) == {"Alice lives in Rome.", "Bob lives in Oslo.", "Alice lived in Bonn."}


async def test_ids_that_the_model_was_not_shown_touch_nothing(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I live in Paris", fact("Bob lives in Paris."), user="bob")
    async with database_of(nm).user("bob") as transaction:
        theirs = str(await transaction.value("SELECT memory_id FROM {s}.memories"))
    stolen = {"id": theirs, "standing": "contradicts"}
    first = await say(nm, model, "a", fact("Alice likes golf.", known=stolen, sources=[theirs]))
    await say(nm, model, "b", fact("Alice likes chess.", known={"id": "k99", "standing": "refines"}))
    assert list(await facts(nm, "bob")) == ["Bob lives in Paris."]
    found = await facts(nm)
    assert set(found) == {"Alice likes golf.", "Alice likes chess."}
    assert found["Alice likes golf."] == [first]


async def test_the_past_shows_what_held_then(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "Paris", fact("Alice lives in Paris.", subject="Alice", states="LIVES_IN"))
    async with database_of(nm).user("alice") as transaction:
        then = await transaction.value("SELECT last_tx FROM {s}.users")
    await say(nm, model, "Rome", fact("Alice lives in Rome.", subject="Alice", states="LIVES_IN"))
    found = await nm.recall("alice", "Where does Alice live?", as_of=then, include_conversations=False)
    assert [item["content"] for item in found["merged"]] == ["Alice lives in Paris."]


async def test_the_history_tells_why_in_the_words_of_the_model(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I live in Paris", fact("Alice lives in Paris."))
    why = "Alice said that she moved to Rome in May."
    model.always = answering(
        lambda shown: {
            "facts": [
                fact("Alice lives in Rome.", **pointing(shown, "Alice lives in Paris.", "contradicts", why))
            ]
        }
    )
    await nm.ingest("alice", "user", "In May I moved to Rome")
    await nm.drain()
    (memory,) = await nm.get_recent_memories("alice")
    old, new = await nm.memory_history("alice", memory.id)
    assert (old.content, old.ended) == ("Alice lives in Paris.", f"contradicted: {why}")
    assert (new.content, new.ended, new.by) == ("Alice lives in Rome.", None, "extractor")
    assert "prompt extraction-" in (new.why or "")


async def test_what_an_erased_session_ended_holds_again_and_its_words_are_gone(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await say(nm, model, "I live in Paris", fact("Alice lives in Paris."))
    await say(nm, model, "I live in Rome", fact("Alice lives in Rome."))
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))

    def secret(shown: dict[str, Any]) -> dict[str, Any]:
        return {
            "facts": [
                fact(
                    "Alice lives in Paris.",
                    **pointing(shown, "Alice lives in Rome.", "contradicts", "Rome: no."),
                ),
                fact("Alice drinks mate.", **pointing(shown, "Alice drinks tea.", "contradicts", "Tea: no.")),
            ]
        }

    model.always = answering(secret)
    await nm.ingest("alice", "user", "Rome is over, Paris it is, with mate", "secret")
    await nm.drain()
    await say(nm, model, "Mate again", fact("Alice drinks mate."))
    ended = {content: why for content, _, why in await versions(nm)}
    assert ended["Alice lives in Rome."] == "contradicted: Rome: no."
    assert ended["Alice drinks tea."] == "contradicted: Tea: no."
    await nm.conversations.delete_session("alice", "secret")
    assert {content: why for content, _, why in await versions(nm)} == {
        "Alice lives in Paris.": None,
        "Alice lives in Rome.": None,
        "Alice drinks tea.": "contradicted",
        "Alice drinks mate.": None,
    }
    assert "Alice lives in Rome." in await facts(nm)


async def test_the_past_too_is_as_if_an_erased_session_had_never_been(
    nm: NeuroMemory, model: HttpServer
) -> None:
    moments = []

    def tell(shown: dict[str, Any]) -> dict[str, Any]:
        place = next(turn["text"] for turn in shown["conversation"] if turn.get("new"))
        return {"facts": [fact(f"Alice lives in {place}.", subject="Alice", states="LIVES_IN")]}

    model.always = answering(tell)
    for place in ("Paris", "Rome", "Oslo"):
        await nm.ingest("alice", "user", place, place)
        await nm.drain()
        async with database_of(nm).user("alice") as transaction:
            moments.append(await transaction.value("SELECT last_tx FROM {s}.users"))
    await nm.conversations.delete_session("alice", "Rome")
    found = [
        [
            item["content"]
            for item in (await nm.recall("alice", "Alice lives", as_of=then, memory_type="fact"))["merged"]
        ]
        for then in moments
    ]
    assert found == [["Alice lives in Paris."], ["Alice lives in Paris."], ["Alice lives in Oslo."]]
    await nm.conversations.delete_session("alice", "Oslo")
    assert list(await facts(nm)) == ["Alice lives in Paris."]


async def test_what_an_erased_session_took_from_the_profile_stands_there_again(
    nm: NeuroMemory, model: HttpServer
) -> None:
    async def say_so(session: str, profile: dict[str, Any], *withdrawn: tuple[str, str]) -> None:
        gone = [{"key": key, "entry": entry} for key, entry in withdrawn]
        model.always = answering(lambda shown: {"profile": profile, "withdrawn": gone})
        await nm.ingest("alice", "user", f"what is said in {session}", session)
        await nm.drain()

    async def profile(**when: Any) -> dict[str, Any]:
        return (await nm.recall("alice", "Who is she?", **when))["user_profile"]

    await say_so("first", {"occupation": "nurse", "preferences": ["likes coffee", "prefers dark mode"]})
    await say_so("left", {}, ("occupation", "nurse"))
    await say_so(
        "secret", {"occupation": "spy", "preferences": ["likes vodka"]}, ("preferences", "likes coffee")
    )
    await say_so("later", {"preferences": ["likes tea"]}, ("preferences", "prefers dark mode"))
    async with database_of(nm).user("alice") as transaction:
        then = await transaction.value("SELECT last_tx FROM {s}.users")
    assert await profile() == {"occupation": "spy", "preferences": ["likes vodka", "likes tea"]}
    assert (await nm.conversations.delete_session("alice", "secret"))["profile"] == 2
    assert await profile() == await profile(as_of=then) == {"preferences": ["likes coffee", "likes tea"]}
    await nm.conversations.delete_session("alice", "left")
    assert await profile() == {"occupation": "nurse", "preferences": ["likes coffee", "likes tea"]}
    await nm.conversations.delete_session("alice", "first")
    await nm.conversations.delete_session("alice", "later")
    assert await profile() == await profile(as_of=then) == {}
    async with database_of(nm).user("alice") as transaction:
        assert await transaction.value("SELECT count(*) FROM {s}.kv") == 0


async def test_a_profile_loses_what_the_user_takes_back_and_the_past_keeps_it(
    nm: NeuroMemory, model: HttpServer
) -> None:
    likes = {"preferences": ["likes coffee", "prefers dark mode"], "occupation": "nurse"}
    model.always = answering(lambda shown: {"profile": likes})
    await nm.ingest("alice", "user", "I like coffee and dark mode, and I am a nurse")
    await nm.drain()
    async with database_of(nm).user("alice") as transaction:
        then = await transaction.value("SELECT last_tx FROM {s}.users")

    def taken_back(shown: dict[str, Any]) -> dict[str, Any]:
        gone = [
            {"key": "preferences", "entry": "Likes coffee"},
            {"key": "occupation", "entry": "nurse"},
            {"key": "preferences", "entry": "never said"},
            {"key": "shoe size", "entry": "44"},
            {"key": 7},
        ]
        return {"profile": {"preferences": ["likes tea"]}, "withdrawn": gone}

    model.always = answering(taken_back)
    message = await nm.ingest(
        "alice", "user", "No coffee for me any more, only tea. And I left the hospital."
    )
    await nm.drain()
    now = {"preferences": ["prefers dark mode", "likes tea"]}
    assert (await nm.recall("alice", "What does Alice like?"))["user_profile"] == now
    assert (await nm.recall("alice", "What does Alice like?", as_of=then))["user_profile"] == likes
    async with database_of(nm).user("alice") as transaction:
        origin = await transaction.value(
            "SELECT origin FROM {s}.extractions WHERE message_id = CAST(:id AS uuid)", {"id": message.id}
        )
    assert origin["rejected"] == {"withdrawn: entry of no use": 2, "withdrawn: key of no use": 1}


async def test_a_version_said_again_has_its_later_source_only_from_then_on(
    nm: NeuroMemory, model: HttpServer
) -> None:
    first = await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    async with database_of(nm).user("alice") as transaction:
        then = await transaction.value("SELECT last_tx FROM {s}.users")
    second = await say(nm, model, "Tea, as ever", fact("Alice drinks tea."))
    past = await nm.recall("alice", "tea", as_of=then, memory_type="fact")
    assert [item["sources"] for item in past["merged"]] == [[first]]
    assert (await facts(nm))["Alice drinks tea."] == sorted([first, second])


async def test_known_memories_are_ranked_as_settings_say(database_url: str, model: HttpServer) -> None:
    """With these a word that is said twice counts more and a long text no less; by default, the short one is nearer."""
    settings = {**FAST, "bm25": {"k1": 10, "b": 0}, "extraction": {"known_memories": 1}}
    async with opened(database_url, llm=llm(model), settings=settings) as nm:
        often = f"Tea, tea, {' '.join(f'leaf{i}' for i in range(60))}"
        for content in (often, "Tea time", *(f"Hill {i}" for i in range(5))):
            await nm.add_memory("alice", content, "fact")
        await nm.drain()
        await nm.ingest("alice", "user", "Tea!")
        await nm.drain()
    assert [memory["content"] for memory in asked(model.requests[-1])["known"]] == [often]
