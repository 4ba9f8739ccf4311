"""What is said in a language is kept in it: the model is told which, and its reply goes through whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.text.language import detect_language, language_with_name
from tests.ingest.extraction.model import answering, asked, completion, echo
from tests.ingest.extraction.test_new_against_known import facts, say

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer

BEIJING = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("我在 Google 当后端工程师", "zh"),
        ("我住在 New York City，爱吃 pizza 和寿司，今年八岁", "zh"),
        ("私は東京に住んでいます", "ja"),
        ("나는 서울에 산다", "ko"),
        ("Я живу в Москве, это мой новый адрес, а ты?", "ru"),
        ("Я живу в Києві", "uk"),
        ("أعيش في القاهرة", "ar"),
        ("I work at Google as a backend engineer", "en"),
        ("Ich wohne seit drei Jahren in Berlin und arbeite als Lehrer", "de"),
        ("Me gusta mucho el té con leche por la mañana", "es"),
        ("OK", None),
        ("Alice, Google, 2023!", None),
        ("", None),
    ],
)
def test_a_language_is_told_where_the_text_decides(text: str, language: str | None) -> None:
    assert detect_language(text) == language


def test_a_tag_gets_its_name() -> None:
    assert (language_with_name("zh-TW"), language_with_name("pt-BR"), language_with_name("tlh")) == (
        "Chinese (zh-TW)",
        "Portuguese (pt-BR)",
        "tlh",
    )


async def told(nm: NeuroMemory, model: HttpServer, text: str, **more: Any) -> str:
    """Which language the model is told to write in when this is said."""
    await nm.ingest("alice", "user", text, more.pop("session", None), **more)
    await nm.drain()
    language: str = asked(model.requests[-1])["language"]
    return language


async def test_the_model_is_told_the_language_to_write_in(nm: NeuroMemory, model: HttpServer) -> None:
    assert await told(nm, model, "我喜欢喝茶") == "Chinese (zh)"
    assert await told(nm, model, "I like to drink tea in the morning", session="en") == "English (en)"
    assert "new turns" in await told(
        nm, model, "OK", session="other", occurred_at=datetime(1999, 1, 1, tzinfo=UTC)
    )
    assert await told(nm, model, "Grüezi", language="de-CH") == "German (de-CH)"
    await nm.ingest("alice", "assistant", "你好！要咖啡吗？", "short")
    assert await told(nm, model, "OK", session="short") == "Chinese (zh)"  # as the conversation is
    await nm.set_language("alice", "fr")
    assert await told(nm, model, "OK", session="set") == "French (fr)"
    assert await told(nm, model, "我喜欢喝茶", session="set") == "Chinese (zh)"
    system = model.requests[-1].json["messages"][0]["content"]
    assert 'the language that "language" names' in system


async def test_a_reply_in_chinese_goes_through_whole(nm: NeuroMemory, model: HttpServer) -> None:
    def tell(shown: dict[str, Any]) -> dict[str, Any]:
        return {
            "facts": [
                {
                    "content": "小明在谷歌担任后端工程师。",
                    "subject": "用户",
                    "category": "work",
                    "states": "WORKS_AT",
                    "importance": "八",
                    "confidence": "百分之九十",
                    "valence": "积极",
                    "arousal": "较低",
                    "emotion": "高兴",
                    "entities": "小明、谷歌",
                    "sources": ["m1"],
                },
            ],
            "episodes": [
                {
                    "content": "小明去了长城。",
                    "date": "昨天",
                    "people": "小红、小刚",
                    "place": "长城",
                    "importance": "六分",
                },
                {"content": "小明去了上海。", "date": "去年五月"},
                {"content": "小明买了车。", "date": "2021年3月7日"},
            ],
            "relations": [
                {
                    "subject": "我",
                    "subject_type": "USER",
                    "relation": "WORKS_AT",
                    "object": "谷歌",
                    "object_type": "ORGANIZATION",
                },
            ],
            "profile": {
                "identity": "小明",
                "interests": "登山、摄影",
                "relationships": {"小红": "妹妹"},
                "values": "无",
            },
        }

    model.always = answering(tell)
    moment = datetime(2023, 5, 8, 1, 30, tzinfo=BEIJING)  # the 7th in UTC
    await nm.ingest("xm", "user", "我是小明，在谷歌做后端，昨天和妹妹小红爬了长城", occurred_at=moment)
    await nm.drain()
    found = {memory.content: memory for memory in await nm.list_memories("xm")}
    work = found["小明在谷歌担任后端工程师。"]
    assert (work.importance, work.confidence, work.valence, work.emotion) == (8, 0.9, 0.6, "高兴")
    assert set(work.entities) == {"小明", "谷歌"}
    wall = found["小明去了长城。"]
    assert wall.occurred_at == datetime(2023, 5, 7, tzinfo=BEIJING)
    assert (wall.importance, wall.metadata) == (6, {"people": ["小红", "小刚"], "place": "长城"})
    assert found["小明去了上海。"].occurred_at == datetime(2022, 5, 1, tzinfo=BEIJING)
    assert found["小明买了车。"].occurred_at == datetime(2021, 3, 7, tzinfo=BEIJING)
    assert [near.node.id for near in await nm.graph.get_neighbors("xm", "USER", "xm")] == ["谷歌"]
    recalled = await nm.recall("xm", "小明在哪里工作？")
    assert recalled["user_profile"] == {
        "identity": "小明",
        "interests": ["登山", "摄影"],
        "relationships": ["小红: 妹妹"],
    }
    assert recalled["merged"][0]["content"] == work.content


async def test_in_chinese_too_the_same_is_said_once_and_a_home_is_one(
    nm: NeuroMemory, model: HttpServer
) -> None:
    home = {"subject": "用户", "states": "LIVES_IN"}
    first = await say(nm, model, "我住在巴黎", {"content": "用户住在巴黎。", **home})
    again = await say(nm, model, "巴黎", {"content": "用户住在巴黎", **home})
    assert await facts(nm) == {"用户住在巴黎。": sorted([first, again])}
    await say(nm, model, "我搬到罗马了", {"content": "用户住在罗马。", **home, "subject": "我"})
    assert list(await facts(nm)) == ["用户住在罗马。"]


async def test_who_speaks_of_themselves_is_one_subject_by_whatever_name(
    nm: NeuroMemory, model: HttpServer
) -> None:
    def lives(where: str, subject: str) -> None:
        home = {"content": f"{subject} lives in {where}.", "subject": subject, "states": "LIVES_IN"}
        model.always = answering(lambda shown: {"facts": [home]})

    lives("Paris", "Ann")
    await nm.ingest("u-17", "user", "I live in Paris", name="Ann")
    await nm.drain()
    lives("Oslo", "Bob")
    await nm.ingest("u-17", "user", "Oslo is mine", name="Bob")
    await nm.drain()
    lives("Rome", "user")
    await nm.ingest("u-17", "user", "I live in Rome", name="Ann")
    await nm.drain()
    assert {memory.content for memory in await nm.list_memories("u-17")} == {
        "Bob lives in Oslo.",
        "user lives in Rome.",
    }


async def test_relative_dates_are_those_of_the_very_message(nm: NeuroMemory, model: HttpServer) -> None:
    episodes = [
        {"content": "first", "date": "yesterday", "sources": ["m1"]},
        {"content": "second", "date": "yesterday", "sources": ["m2"]},
        {"content": "third", "date": "two weeks ago", "sources": ["m2"]},
        {"content": "vague", "date": "recently", "sources": ["m2"]},
        {"content": "ending", "date": "until last May", "sources": ["m2"]},
    ]
    model.always = completion(json.dumps({"episodes": episodes}))
    await nm.conversations.add_messages_batch(
        "alice",
        [
            {
                "role": "user",
                "content": f"said {day}",
                "occurred_at": datetime(2023, 5, day, 23, tzinfo=BEIJING),
            }
            for day in (8, 20)
        ],
    )
    await nm.drain()
    assert len(model.requests) == 1
    assert {memory.content: memory.occurred_at for memory in await nm.list_memories("alice")} == {
        "first": datetime(2023, 5, 7, tzinfo=BEIJING),
        "second": datetime(2023, 5, 19, tzinfo=BEIJING),
        "third": datetime(2023, 5, 6, tzinfo=BEIJING),
        "vague": None,
        "ending": None,
    }


async def test_chinese_said_in_chinese_is_found_by_its_fact(nm: NeuroMemory, model: HttpServer) -> None:
    model.always = answering(echo)
    await nm.ingest("alice", "user", "我的猫叫团子")
    await nm.drain()
    found = await nm.recall("alice", "猫叫什么名字？")
    assert [(item["memory_type"], item["content"]) for item in found["merged"]] == [("fact", "我的猫叫团子")]
