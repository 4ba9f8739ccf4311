"""Messages extracted anew: what is added, changed, lost, and what a person did stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from neuromem.errors import BudgetError, InputError, NeuroMemError
from tests.conftest import opened
from tests.ingest.extraction.conftest import FAST
from tests.ingest.extraction.model import answering, llm
from tests.ingest.extraction.test_new_against_known import fact, say
from tests.support.http_server import Reply
from tests.support.user_data import now, state

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer


def told(answers: dict[str, list[dict[str, Any]]], **more: Any) -> Any:
    """A model that makes of each new turn what stands under its text."""

    def tell(shown: dict[str, Any]) -> dict[str, Any]:
        facts = [
            {"sources": [turn["id"]], **one}
            for turn in shown["conversation"]
            if turn.get("new")
            for one in answers.get(turn["text"], [])
        ]
        return {"facts": facts, **more}

    return answering(tell)


async def contents(nm: NeuroMemory) -> set[str]:
    return {memory.content for memory in await nm.list_memories("alice")}


async def test_a_dry_run_shows_what_an_application_then_does(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    await say(nm, model, "I live in Paris", fact("Alice lives in Paris."))
    await say(nm, model, "Blah", fact("Alice says blah."))
    before, moment = await state(nm), await now(nm)
    model.always = told(
        {
            "I drink tea": [fact("Alice drinks tea.")],
            "I live in Paris": [fact("Alice lives in the city of Paris."), fact("Paris is in France.")],
        }
    )
    shown = await nm.reextract("alice")
    assert (shown["applied"], shown["messages"], shown["unchanged"]) == (False, 3, 1)
    assert [one["content"] for one in shown["added"]] == ["Paris is in France."]
    assert [(one["before"], one["after"]) for one in shown["changed"]] == [
        ("Alice lives in Paris.", "Alice lives in the city of Paris.")
    ]
    assert [one["content"] for one in shown["lost"]] == ["Alice says blah."]
    assert await state(nm) == before

    done = await nm.reextract("alice", dry_run=False)
    assert {**done, "applied": False} == shown
    assert await contents(nm) == {
        "Alice drinks tea.",
        "Alice lives in the city of Paris.",
        "Paris is in France.",
    }
    await nm.drain()
    assert (await nm.recall("alice", "France"))["vector_results"][0]["content"] == "Paris is in France."
    versions = await nm.memory_history("alice", shown["changed"][0]["id"])
    assert [(v.content, v.ended) for v in versions] == [
        ("Alice lives in Paris.", "re-extracted"),
        ("Alice lives in the city of Paris.", None),
    ]
    assert versions[1].by == "extractor"
    assert versions[1].why == "extractor llm, model test-model, prompt extraction-3, why re-extracted"
    assert await state(nm, as_of=moment) == before
    assert (await nm.reextract("alice"))["unchanged"] == 3
    await nm.rollback_memories("alice", moment)
    assert (await state(nm))["memories"] == before["memories"]


async def test_what_a_person_did_stays(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I live in Paris", fact("Alice lives in Paris."))
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    await say(nm, model, "My cat is Tom", fact("Alice has a cat named Tom."))
    await say(nm, model, "I am tall", fact("Alice is very tall."))
    ids = {memory.content: memory.id for memory in await nm.list_memories("alice")}
    await nm.update_memory("alice", ids["Alice lives in Paris."], content="Alice moved to Rome long ago.")
    await nm.delete_memory("alice", ids["Alice drinks tea."])
    await nm.pin("alice", ids["Alice has a cat named Tom."])
    await say(nm, model, "I play chess", fact("Alice plays chess."))
    chess = next(memory for memory in await nm.list_memories("alice") if "chess" in memory.content)
    await nm.delete_memory("alice", chess.id)
    await nm.restore_memory("alice", chess.id)
    own = await nm.add_memory("alice", "Alice is very tall", memory_type="general")
    model.always = told(
        {
            "I live in Paris": [fact("Alice lives in beautiful Paris.")],
            "I drink tea": [fact("Alice likes and drinks tea.")],
            "I am tall": [fact("Alice is 190 cm.")],
        }
    )
    done = await nm.reextract("alice", dry_run=False)
    assert {(one["content"], one["instead_of"]) for one in done["kept"]} == {
        ("Alice moved to Rome long ago.", "Alice lives in beautiful Paris."),
        (None, "Alice likes and drinks tea."),
    }
    assert await contents(nm) == {
        "Alice moved to Rome long ago.",
        "Alice has a cat named Tom.",
        own.content,
        "Alice is 190 cm.",
        "Alice plays chess.",
    }


async def test_another_schema_changes_what_is_kept_with_a_fact(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    model.always = told({"I drink tea": [fact("Alice drinks tea.", category="habit")]})
    shown = await nm.reextract("alice", dry_run=False)
    assert len(shown["changed"]) == 1
    assert [memory.category for memory in await nm.list_memories("alice")] == ["habit"]


async def test_a_part_of_what_was_said_can_be_chosen(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    session = (await nm.conversations.list_sessions("alice"))[0].id
    await say(nm, model, "I live in Paris", fact("Alice lives in Paris."))
    await say(nm, model, "Tea!", fact("Alice drinks tea."))
    model.always = told({})
    shown = await nm.reextract("alice", {"session_id": session})
    assert (shown["messages"], shown["lost"]) == (1, [])  # another message says it as well
    assert (await nm.reextract("alice", {"after": await now(nm)}))["messages"] == 0
    assert len((await nm.reextract("alice", {"before": await now(nm)}))["lost"]) == 2
    with pytest.raises(InputError, match="unknown keys"):
        await nm.reextract("alice", {"session": session})


async def test_relations_and_the_profile_follow(nm: NeuroMemory, model: HttpServer) -> None:
    def relation(target: str) -> dict[str, Any]:
        return {
            "subject": "user",
            "subject_type": "USER",
            "relation": "KNOWS",
            "object": target,
            "object_type": "PERSON",
        }

    def knows(*names: str) -> Any:
        def tell(shown: dict[str, Any]) -> dict[str, Any]:
            new = [turn["id"] for turn in shown["conversation"] if turn.get("new")]
            return {
                "facts": [],
                "relations": [{**relation(name), "sources": new} for name in names],
                "profile": {"interests": list(names)},
            }

        return answering(tell)

    model.always = knows("Bob", "Carol")
    await nm.ingest("alice", "user", "I know Bob and Carol")
    await nm.drain()
    own = await nm.graph.create_node("alice", "PERSON", "Dan")
    await nm.graph.create_edge("alice", "USER", "alice", "KNOWS", "PERSON", own.id)
    await nm.kv.set("alice", "profile", "occupation", "baker")
    model.always = knows("Bob", "Eve")
    done = await nm.reextract("alice", dry_run=False)
    assert done["relations"]["added"] == ["alice -> KNOWS -> Eve"]
    assert done["relations"]["lost"] == ["alice -> KNOWS -> Carol"]
    assert done["profile"] == {"interests": {"before": ["Bob", "Carol"], "after": ["Bob", "Eve"]}}
    names = {n.node.id for n in await nm.graph.get_neighbors("alice", "USER", "alice")}
    assert names == {"Bob", "Dan", "Eve"}
    assert await nm.kv.get("alice", "profile", "occupation") == "baker"


async def test_a_profile_keeps_what_others_said_and_a_person_set(nm: NeuroMemory, model: HttpServer) -> None:
    def says(answers: dict[str, dict[str, Any]]) -> Any:
        def tell(shown: dict[str, Any]) -> dict[str, Any]:
            new = [turn["text"] for turn in shown["conversation"] if turn.get("new")]
            return answers.get(new[0], {})

        return answering(tell)

    first = {"profile": {"occupation": "nurse", "interests": ["chess", "golf"], "values": ["honesty"]}}
    model.always = says(
        {
            "first": first,
            "second": {"profile": {"occupation": "doctor", "interests": ["golf", "go"]}},
            "third": {"withdrawn": [{"key": "values", "entry": "honesty"}]},
        }
    )
    for session in ("first", "second", "third"):
        await nm.ingest("alice", "user", session, session)
        await nm.drain()
    await nm.kv.set("alice", "profile", "personality", ["calm"])

    async def profile() -> dict[str, Any]:
        return (await nm.recall("alice", "Who?"))["user_profile"]

    model.always = says(
        {"first": {"profile": {"occupation": "pilot", "interests": ["golf"], "personality": ["loud"]}}}
    )
    done = await nm.reextract("alice", {"session_id": "first"}, dry_run=False)
    assert done["profile"] == {"interests": {"before": ["chess", "golf", "go"], "after": ["golf", "go"]}}
    assert await profile() == {"occupation": "doctor", "interests": ["golf", "go"], "personality": ["calm"]}

    model.always = says({"second": {"profile": {"interests": ["go"]}}})
    shown = await nm.reextract("alice")
    assert shown["profile"] == {
        "occupation": {"before": "doctor", "after": None},
        "interests": {"before": ["golf", "go"], "after": ["go"]},
    }
    assert await profile() == {"occupation": "doctor", "interests": ["golf", "go"], "personality": ["calm"]}
    await nm.reextract("alice", dry_run=False)
    assert await profile() == {"interests": ["go"], "personality": ["calm"]}
    await nm.conversations.delete_session("alice", "second")  # what it says is known to be its own
    assert await profile() == {"personality": ["calm"]}


async def test_erasing_a_session_brings_back_nothing_that_others_lost_by_extracting_anew(
    nm: NeuroMemory, model: HttpServer
) -> None:
    await say(nm, model, "Blah", fact("Alice says blah."))
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    tea = (await nm.conversations.list_sessions("alice"))[0].id
    model.always = told({"I drink tea": [fact("Alice drinks tea.")]})
    assert [one["content"] for one in (await nm.reextract("alice", dry_run=False))["lost"]] == [
        "Alice says blah."
    ]
    await nm.conversations.delete_session("alice", tea)
    assert await contents(nm) == set()


async def test_a_model_that_fails_changes_nothing(nm: NeuroMemory, model: HttpServer) -> None:
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    before = await state(nm)
    model.always = Reply({"error": {"message": "overloaded"}}, status=500)
    with pytest.raises(NeuroMemError):
        await nm.reextract("alice", dry_run=False)
    assert await state(nm) == before


async def test_calls_are_accounted_and_bounded(nm: NeuroMemory, database_url: str, model: HttpServer) -> None:
    await say(nm, model, "I drink tea", fact("Alice drinks tea."))
    await nm.reextract("alice")
    assert (await nm.usage("alice"))["re-extraction"]["calls"] == 1
    bounded = {**FAST, "extraction": {"daily_tokens": 1}}
    async with opened(database_url, llm=llm(model), settings=bounded) as other:
        with pytest.raises(BudgetError, match="daily_tokens"):
            await other.reextract("alice")


@pytest.mark.parametrize("where", ["settings", "user"])
async def test_texts_are_compared_in_their_language(database_url: str, model: HttpServer, where: str) -> None:
    settings = {**FAST, "language": "de"} if where == "settings" else FAST
    async with opened(database_url, llm=llm(model), settings=settings) as nm:
        if where == "user":
            await nm.set_language("alice", "de")
        await say(nm, model, "Hund und Katze", fact("Alice hat einen Hund und eine Katze."))
        model.always = told({"Hund und Katze": [fact("Alice hatte Hunde sowie Katzen.")]})
        shown = await nm.reextract("alice")
    assert [(one["before"], one["after"]) for one in shown["changed"]] == [
        ("Alice hat einen Hund und eine Katze.", "Alice hatte Hunde sowie Katzen.")
    ]
