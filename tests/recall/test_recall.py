"""recall() on a real PostgreSQL: what is found, what is left out, and what an error looks like."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from benchmarks.support.statements import Statements
from neuromem.domain.recall_result import Candidate
from neuromem.errors import InputError, NotFoundError, RecallError
from neuromem.plugin import StageSpec, hookimpl
from neuromem.testing import HashEmbedding, ScriptedLLM
from tests.conftest import opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from neuromem.domain.query import Query
    from neuromem.domain.recall_result import RecallResult
    from neuromem.memory import NeuroMemory
    from neuromem.plugin import ChatMessage, Reader, Retriever

PLACES = ["Paris", "Rome", "Oslo", "Lima", "Kyoto", "Cairo"]


def contents(result: RecallResult) -> list[str]:
    return [item["content"] for item in result["merged"]]


async def test_the_vector_arm_is_exact_under_any_filter(nm: NeuroMemory) -> None:
    """One percent passes the filter; a search that filters after an approximate scan would miss most of it."""
    shuffled = random.Random(7)
    for i in range(300):
        await nm.add_memory(
            "alice",
            f"note {i} about {shuffled.choice(PLACES)} and {shuffled.choice(PLACES)} number {shuffled.random()}",
            metadata={"rare": i % 100 == 0},
        )
    await nm.drain()
    query = "notes about Paris and Rome"
    found = await nm.recall("alice", query, limit=50, metadata={"rare": True})
    everything = await nm.recall("alice", query, limit=300)
    rare = [item["id"] for item in everything["vector_results"] if item["metadata"]["rare"]]
    assert [item["id"] for item in found["vector_results"]] == rare
    assert len(rare) == 3


async def test_vector_results_are_those_of_brute_force(nm: NeuroMemory) -> None:
    embedding = HashEmbedding()
    texts = [f"the {place} trip of {year}" for place in PLACES for year in range(2000, 2020)]
    for text in texts:
        await nm.add_memory("alice", text)
    await nm.drain()
    query = "trip to Kyoto in 2007"
    asked = await embedding.embed_query(query)

    def cosine(a: Sequence[float], b: Sequence[float]) -> float:
        norm = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
        return sum(x * y for x, y in zip(a, b, strict=True)) / norm

    wanted = {
        text: cosine(asked, vector)
        for text, vector in zip(texts, await embedding.embed_batch(texts), strict=True)
    }
    found = await nm.recall("alice", query, limit=20, explain=True)
    worst = sorted(wanted.values(), reverse=True)[19]
    assert all(wanted[item["content"]] >= worst - 1e-3 for item in found["vector_results"])
    for item in found["merged"]:
        arm = item["explain"]["arms"].get("vector")
        assert arm is None or arm["score"] == pytest.approx(wanted[item["content"]], abs=2e-3)


async def test_punctuation_in_a_question_finds_what_it_names(nm: NeuroMemory) -> None:
    for content in ("the call is at 10:30", "I like C++", "note: Alice came", "use the -foo option"):
        await nm.add_memory("alice", content)
    await nm.drain()  # half-way, a hashed meaning of nothing may come before words
    for question, content in (
        ("10:30?", "the call is at 10:30"),
        ("C++", "I like C++"),
        ("note: Alice", "note: Alice came"),
        ("-foo", "use the -foo option"),
        ("'; DROP TABLE users; -- foo", "use the -foo option"),
    ):
        assert contents(await nm.recall("alice", question))[0] == content


ODD = (
    "10:30",
    "-foo",
    "C++",
    "note: Alice",
    "a@b.example",
    "v3.11.7-rc1",
    "snake_case camelCase",
    "'; DROP --",
    ":user :s {s} {condition} {visible} %(x)s %s $1 \\:a",
    "CAST(:x AS int[])",
    "我用C++写代码",
    "ひらがな 日本語",
    "한국어",
    "ภาษาไทย",
    "العربية",
    "e\u0301",
    "👩‍👩‍👧 🇩🇪",
    "\x01\x7f ok",
    "\u202eabc\u2066",
    "Ⅳ ﬁne ½",
    "since last 10 二三月前 in May 99",
)


async def test_no_text_is_too_odd_to_be_kept_and_found(database_url: str) -> None:
    async with opened(database_url, worker=False) as nm:  # by words alone
        for number, odd in enumerate(ODD):
            user = f"user{number}"
            await nm.add_memory(user, "something else entirely")
            await nm.add_memory(user, odd)
            assert contents(await nm.recall(user, odd))[0] == odd
            assert contents(await nm.recall(user, odd, language="zh"))[0] == odd
            assert odd[-1:] in (await nm.context(user, odd, format="markdown"))["text"]


async def test_users_do_not_see_each_other(nm: NeuroMemory) -> None:
    await nm.add_memory("alice", "the secret is blue")
    await nm.add_memory("bob", "the secret is red")
    await nm.drain()
    assert contents(await nm.recall("alice", "what is the secret?")) == ["the secret is blue"]
    assert contents(await nm.recall("carol", "what is the secret?")) == []


async def test_as_of_answers_as_it_would_have_then(nm: NeuroMemory) -> None:
    first = await nm.add_memory("alice", "lives in Paris", "fact")
    await nm.add_memory("alice", "lives near Rome", "fact")
    await nm.drain()
    then = await nm.recall("alice", "Where does she live? lives", as_of=first.created_at)
    assert contents(then) == ["lives in Paris"]
    before = await nm.recall("alice", "lives", as_of=first.created_at - timedelta(microseconds=1))
    assert contents(before) == []


async def test_filters_narrow_both_arms(nm: NeuroMemory) -> None:
    day = datetime(2023, 5, 8, tzinfo=UTC)
    await nm.ingest("alice", "user", "painted a sunrise", occurred_at=day)
    await nm.ingest("alice", "user", "painted a sunset", occurred_at=day + timedelta(days=30))
    fact = await nm.add_memory("alice", "likes to have painted", "fact")
    await nm.drain()
    early = await nm.recall("alice", "painted", event_before=day + timedelta(days=1))
    assert contents(early) == ["painted a sunrise"]
    late = await nm.recall("alice", "painted", event_after=day + timedelta(days=1))
    assert contents(late) == ["painted a sunset"]
    facts = await nm.recall("alice", "painted", memory_type="fact")
    assert [item["id"] for item in facts["merged"]] == [fact.id]
    assert contents(await nm.recall("alice", "painted", include_conversations=False)) == [
        "likes to have painted"
    ]
    assert contents(await nm.recall("alice", "painted", created_before=day)) == []


async def test_the_time_that_a_question_names_is_preferred_and_hides_nothing(database_url: str) -> None:
    async with opened(database_url, worker=False) as nm:  # by words alone
        for month in (3, 5, 9):
            then = datetime(2023, month, 10, tzinfo=UTC)
            await nm.ingest("alice", "user", f"went hiking, tour {month}", occurred_at=then)
        for question in ("Which hiking tour was in spring 2023?", "去年五月 hiking"):
            found = await nm.recall("alice", question, as_of=datetime(2024, 7, 1, tzinfo=UTC))
            assert found["merged"] == []  # nothing was known then
        found = await nm.recall("alice", "Which hiking tour was in May 2023?", explain=True)
        assert contents(found)[0] == "went hiking, tour 5"
        assert found["merged"][0]["explain"]["signals"]["time"] == 1.0
        assert len(contents(found)) == 3
        assert len(contents(await nm.recall("alice", "hiking with the spring framework"))) == 3


async def test_yesterday_is_meant_in_the_time_zone_that_is_set(database_url: str) -> None:
    for zone, offset in (("Pacific/Kiritimati", 14), ("Pacific/Pago_Pago", -11)):
        settings = {"extraction": {"timezone": zone}}
        there = timezone(timedelta(hours=offset))
        noon = datetime.now(there).replace(hour=12, minute=0)
        async with opened(database_url, worker=False, settings=settings) as nm:
            for day in range(4):
                await nm.ingest(
                    zone, "user", f"tour {day} to the hills", occurred_at=noon - timedelta(days=day)
                )
            found = await nm.recall(zone, "Which tour was yesterday?", explain=True)
        at_noon = [i["content"][5] for i in found["merged"] if i["explain"]["signals"]["time"] == 1.0]
        assert at_noon == ["1"]


async def test_the_speaker_whom_a_question_names_comes_first(database_url: str) -> None:
    async with opened(database_url, worker=False) as nm:  # by words alone
        for name, pet in (("Caroline", "dog"), ("Melanie", "cat"), ("Caroline", "fish"), ("Melanie", "bird")):
            await nm.ingest("u", "user", f"my pet is a {pet}", name=name)
        asked = await nm.recall("u", "What pet does Melanie have?", explain=True)
    assert asked["merged"][0]["content"] in {"my pet is a cat", "my pet is a bird"}
    assert asked["merged"][0]["explain"]["signals"]["speaker"] == 1.0


async def test_who_spoke_first_since_the_last_question_is_known_at_once(database_url: str) -> None:
    async with opened(database_url, worker=False) as nm, opened(database_url, worker=False) as other:
        assert contents(await nm.recall("u", "What pet does Melanie have?")) == []
        for name, pet in (("Caroline", "dog"), ("Melanie", "cat")):
            await other.ingest("u", "user", f"my pet is a {pet}", name=name)
        first, second = [await nm.recall("u", "What pet does Melanie have?", explain=True) for _ in range(2)]
    assert contents(first) == contents(second)
    assert first["merged"][0]["content"] == "my pet is a cat"
    assert first["merged"][0]["explain"]["signals"]["speaker"] == 1.0


async def test_repeats_do_not_fill_the_list(nm: NeuroMemory) -> None:
    for i in range(30):
        await nm.ingest("alice", "user", "Good morning!" if i % 2 else "good  morning", f"s{i}")
    await nm.ingest("alice", "user", "The morning run was good")
    found = contents(await nm.recall("alice", "good morning", limit=5))
    assert len(found) == 2
    assert "The morning run was good" in found


async def test_repeats_do_not_starve_the_list_however_many_there_are(nm: NeuroMemory) -> None:
    """There are more of them than candidates that a retriever offers."""
    await nm.conversations.add_messages_batch(
        "alice", [{"role": "user", "content": f"Good morning{'!' * (i % 3)}"} for i in range(300)]
    )
    for i in range(5):
        await nm.ingest("alice", "user", f"The morning run number {i} was good", "runs")
    await nm.drain()
    found = contents(await nm.recall("alice", "good morning", limit=10))
    assert found[0].startswith("Good morning")
    assert sorted(found[1:]) == [f"The morning run number {i} was good" for i in range(5)]
    assert len(contents(await nm.recall("alice", "good morning", limit=1))) == 1


async def test_merged_is_sorted_and_bounded_and_explains_itself(nm: NeuroMemory) -> None:
    for i in range(40):
        await nm.ingest("alice", "user", f"talk {i} about music and {PLACES[i % 6]}", f"s{i % 4}")
    await nm.drain()
    result = await nm.recall("alice", "music in Oslo", limit=7, explain=True)
    keys = [(-item["score"], item["id"]) for item in result["merged"]]
    assert len(keys) == 7
    assert keys == sorted(keys)
    weights = result["explain"]["weights"]
    for item in result["merged"]:
        assert 0 <= item["score"] <= 1
        assert 0 <= item["relevance"] <= 1
        assert item["sources"] == [item["id"]]
        signals = item["explain"]["signals"]
        assert signals.keys() == weights.keys()
        assert all(0 <= signal <= 1 for signal in signals.values())
        told = item["explain"]["fused"] + sum(weights[name] * signal for name, signal in signals.items())
        assert item["score"] == pytest.approx(told / (1 + sum(weights.values())))


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10_000_000}, "limit"),
        ({"query": "  "}, "query"),
        ({"query": "x" * 1_000_001}, "part of it that matters"),
        ({"query": "a\0b"}, "NUL"),
        ({"user_id": ""}, "user_id"),
        ({"memory_type": "facts"}, "facts"),
        ({"as_of": datetime(2024, 1, 1)}, "as_of"),  # noqa: DTZ001
        ({"created_after": "yesterday"}, "created_after"),
        ({"min_score": 2}, "min_score"),
        ({"on_arm_error": "ignore"}, "ignore"),
        ({"metadata": ["x"]}, "metadata"),
        ({"metadata": {"x": float("nan")}}, "metadata"),
        ({"metadata": {"x": object()}}, "metadata"),
        ({"limit": -1}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"limit": 2.0}, "limit"),
        ({"query": ""}, "ask for something"),
        ({"query": None}, "query"),
        ({"query": b"tea"}, "query"),
        ({"query": "\ud800"}, "surrogate"),
        ({"user_id": 5}, "user_id"),
        ({"user_id": "a\0"}, "NUL"),
        ({"memory_type": ["fact"]}, "memory type"),
        ({"memory_type": ""}, "memory type"),
        ({"min_score": float("nan")}, "min_score"),
        ({"min_score": "0.5"}, "min_score"),
        ({"include_conversations": "no"}, "include_conversations"),
        ({"on_arm_error": None}, "on_arm_error"),
        ({"language": ""}, "language"),
        ({"event_after": datetime(2024, 1, 1)}, "event_after"),  # noqa: DTZ001
    ],
)
async def test_what_cannot_be_asked_is_said(
    nm: NeuroMemory, arguments: dict[str, object], names: str
) -> None:
    with pytest.raises(InputError, match=names):
        await nm.recall(**{"user_id": "alice", "query": "anything", **arguments})  # type: ignore[arg-type]


class Broken:
    """A retriever that fails."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        raise ConnectionError(f"no index for {query.text}")


class Stray:
    """A retriever that returns what the user does not have."""

    async def candidates(self, query: Query, reader: Reader) -> Sequence[Candidate]:
        return [Candidate("9b2d2f6e-0000-4000-8000-000000000000", "memory", 5.0, 1.0)]


class Plugin:
    """Offers one retriever."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    @hookimpl
    def neuromem_retrievers(self) -> list[StageSpec[Retriever]]:
        return [StageSpec("extra", lambda ctx: self._retriever, "for a test", default=True)]


async def test_a_failing_retriever_is_named_or_skipped_never_silent(database_url: str) -> None:
    async with opened(database_url, plugins=[Plugin(Broken())]) as nm:
        await nm.add_memory("alice", "likes tea")
        with pytest.raises(RecallError, match="extra") as caught:
            await nm.recall("alice", "tea")
        assert caught.value.arm == "extra"
        skipped = await nm.recall("alice", "tea", on_arm_error="skip")
        assert skipped["skipped"] == ["extra"]
        assert contents(skipped) == ["likes tea"]


async def test_what_a_retriever_invents_does_not_come_out(database_url: str) -> None:
    async with opened(database_url, plugins=[Plugin(Stray())]) as nm:
        await nm.add_memory("alice", "likes tea")
        assert contents(await nm.recall("alice", "tea")) == ["likes tea"]


class Partial(HashEmbedding):
    """An embedding that has nothing to say of part numbers."""

    def _vector(self, text: str) -> list[float]:
        return [0.0] * 64 if "TK-55821" in text else super()._vector(text)


async def test_what_matches_by_a_word_alone_comes_first_among_what_is_near_in_meaning(
    database_url: str,
) -> None:
    async with opened(database_url, embedding=Partial()) as nm:
        await nm.conversations.add_messages_batch(
            "alice",
            [{"role": "user", "content": f"the ticket of visit {i}, a technician"} for i in range(100)],
        )
        await nm.add_memory("alice", "TK-55821: Saturday at 13", "fact")
        await nm.drain()
        found = await nm.recall("alice", "What about the ticket TK-55821 of the technician?", limit=3)
        assert found["merged"][0]["content"] == "TK-55821: Saturday at 13"
        assert found["merged"][0]["source"] == "bm25"


class Unreachable(HashEmbedding):
    """An embedding whose questions fail."""

    async def embed_query(self, text: str) -> list[float]:
        raise ConnectionError("no route to the model")


async def test_a_failing_embedding_fails_the_vector_arm_alone(database_url: str) -> None:
    async with opened(database_url, embedding=Unreachable()) as nm:
        await nm.add_memory("alice", "likes tea")
        await nm.drain()
        with pytest.raises(RecallError, match="no route"):
            await nm.recall("alice", "tea")
        found = await nm.recall("alice", "tea", on_arm_error="skip")
        assert found["skipped"] == ["vector"]
        assert contents(found) == ["likes tea"]


async def test_reciprocal_rank_fusion_is_there_by_name(database_url: str) -> None:
    async with opened(database_url, settings={"recall": {"fusion": "rrf"}}) as nm:
        await nm.add_memory("alice", "likes tea")
        await nm.add_memory("alice", "likes coffee")
        assert contents(await nm.recall("alice", "tea"))[0] == "likes tea"


async def test_explain_missing_says_what_dropped_it(nm: NeuroMemory) -> None:
    wanted = await nm.add_memory("alice", "plays the violin", "fact")
    for i in range(5):
        await nm.add_memory("alice", f"violin lesson number {i} violin", "general")
    await nm.drain()
    there = await nm.explain_missing("alice", "violin", wanted.id)
    assert there["found"]
    assert there["rank"] is not None
    cut = await nm.explain_missing("alice", "violin lesson number", wanted.id, limit=1)
    assert (cut["dropped_by"], cut["found"]) == ("limit", False)
    filtered = await nm.explain_missing("alice", "violin", wanted.id, memory_type="general")
    assert filtered["dropped_by"] == "filter"
    early = await nm.explain_missing(
        "alice", "violin", wanted.id, as_of=wanted.created_at - timedelta(days=1)
    )
    assert early["dropped_by"] == "as_of"
    for unknown in ("9b2d2f6e-0000-4000-8000-000000000000", "not an id"):
        with pytest.raises(NotFoundError):
            await nm.explain_missing("alice", "violin", unknown)
    with pytest.raises(NotFoundError):
        await nm.explain_missing("bob", "violin", wanted.id)


async def test_a_question_asked_again_is_not_embedded_again(database_url: str) -> None:
    embedding = HashEmbedding()
    async with opened(database_url, embedding=embedding) as nm:
        await nm.add_memory("alice", "likes tea")
        await nm.drain()
        await nm.recall("alice", "Who likes tea?")
        calls = len(embedding.calls)
        await nm.recall("alice", "Who likes tea?")
        assert len(embedding.calls) == calls


async def test_chinese_is_found_by_words_and_by_time(nm: NeuroMemory) -> None:
    await nm.ingest("用户", "user", "我去年五月去了京都旅行", occurred_at=datetime(2023, 5, 20, tzinfo=UTC))
    await nm.ingest("用户", "user", "我很喜欢弹钢琴")
    assert contents(await nm.recall("用户", "京都旅行怎么样？"))[0] == "我去年五月去了京都旅行"
    assert contents(await nm.recall("用户", "弹什么琴", language="zh"))[0] == "我很喜欢弹钢琴"


async def test_source_is_who_found_it_and_ranks_are_those_of_the_lists(nm: NeuroMemory) -> None:
    """The conversation arm passes on what others found; it is the source only of what nobody else did."""
    talk = ["Where did you park?", "Behind the school", "Oh dear", "The cat sleeps", "Fine"]
    for text in talk:
        await nm.ingest("alice", "user", text, "s")
    await nm.drain()
    meant = await nm.recall("alice", "a cat sleeping", limit=5, explain=True)
    for item in meant["merged"]:
        arms = item["explain"]["arms"]
        best = min(arms[name]["rank"] for name in arms if name != "conversation")
        assert arms[item["source"]]["rank"] == best
        for name, shown in (("vector", meant["vector_results"]), ("bm25", meant["bm25_results"])):
            if name in arms:
                assert shown[arms[name]["rank"] - 1]["id"] == item["id"]


async def test_who_stands_beside_what_was_found_comes_from_the_conversation(database_url: str) -> None:
    async with opened(database_url, worker=False) as nm:  # by words alone
        for text in ("Where did you park?", "Behind the school"):
            await nm.ingest("alice", "user", text, "s")
        found = await nm.recall("alice", "park")
    assert {item["content"]: item["source"] for item in found["merged"]} == {
        "Where did you park?": "bm25",
        "Behind the school": "conversation",
    }


async def test_what_a_fact_tells_again_is_in_the_explanation(database_url: str) -> None:
    def told(messages: Sequence[ChatMessage]) -> dict[str, object]:
        shown = json.loads(next(m["content"] for m in messages if m["role"] == "user"))
        return {
            "facts": [{"content": f"Fact: {t['text']}", "sources": [t["id"]]} for t in shown["conversation"]]
        }

    async with opened(database_url, llm=ScriptedLLM(always=told)) as nm:
        await nm.ingest("alice", "user", "My sister lives in Lisbon")
        await nm.drain()
        found = await nm.recall(
            "alice", "Where does my sister live?", include_conversations=True, explain=True
        )
    weights = found["explain"]["weights"]
    repeats = set()
    for item in found["merged"]:
        why = item["explain"]
        repeats.add(why.get("repeats", 1.0))
        sum_of_all = why["fused"] + sum(weights[name] * signal for name, signal in why["signals"].items())
        assert item["score"] == pytest.approx(
            why.get("repeats", 1.0) * sum_of_all / (1 + sum(weights.values()))
        )
    assert repeats == {1.0, 0.5}


async def test_the_graph_leads_to_what_words_and_meaning_do_not(database_url: str) -> None:
    async with opened(database_url, worker=False, graph_enabled=True) as nm:
        await nm.graph.create_node("alice", "PERSON", "Bob")
        await nm.graph.create_node("alice", "ORGANIZATION", "Acme")
        await nm.graph.create_edge("alice", "PERSON", "Bob", "WORKS_AT", "ORGANIZATION", "Acme")
        found = await nm.recall("alice", "What about bob?")
        assert found["graph_context"] == ["Bob -> WORKS_AT -> Acme"]
        assert found["graph_results"][0]["object"] == "Acme"
        nm.graph_enabled = False
        assert (await nm.recall("alice", "What about bob?"))["graph_context"] == []


async def test_a_question_costs_few_statements_however_much_there_is(nm: NeuroMemory) -> None:
    sent = Statements(nm)
    for i in range(3):
        await nm.conversations.add_messages_batch(
            "alice",
            [
                {"role": "user", "content": f"note {j} on {PLACES[j % 6]}"}
                for j in range(100 * i, 100 * i + 100)
            ],
        )
        await nm.drain()
        await nm.recall("alice", "a note on Rome")  # what is known of a user is read once
        sent.reset()
        await nm.recall("alice", "a note on Oslo and Lima")
        assert (sent.statements, sent.trips) == (2, 4)


async def test_a_turn_beside_the_missing_word_comes_before_one_amid_the_same_word(database_url: str) -> None:
    """Now and in the past; a question of more words than fit one number included."""
    answer, echo = "The bicycle is green.", "The bicycle is red."
    talks = {
        "echoes": ["Oh, that bicycle.", "A bicycle, then.", echo, "What a bicycle.", "Some bicycle."],
        "answer": [answer, "The gardener told me."],
        "others": [f"Number {i} rang about the weather." for i in range(20)]
        + [f"Gardener {i} came along." for i in range(3)],
    }
    async with opened(database_url, settings={"disable": ["vector"]}) as nm:
        for session, texts in talks.items():
            await nm.conversations.add_messages_batch(
                "alice", [{"role": "user", "content": text} for text in texts], session_id=session
            )
        now = datetime.now(UTC) + timedelta(seconds=1)
        rare = " ".join(f"unheard{i}" for i in range(80))
        for question, moment in [
            ("bicycle gardener", None),
            ("bicycle gardener", now),
            (f"gardener {rare} bicycle", None),
        ]:
            found = contents(await nm.recall("alice", question, as_of=moment))
            assert found.index(answer) < found.index(echo)
