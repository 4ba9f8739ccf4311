"""The retrieval benchmark runs on data of the known formats and reports what is true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import retrieval, sets
from benchmarks.support import datasets, metrics

if TYPE_CHECKING:
    from pathlib import Path

LOCOMO: list[dict[str, Any]] = [
    {
        "sample_id": "one",
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Bob",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "I adopted a greyhound called Comet."},
                {
                    "speaker": "Bob",
                    "dia_id": "D1:2",
                    "text": "Lovely! I repaired my grandfather's accordion.",
                },
            ],
            "session_2_date_time": "12:09 am on 13 September, 2023",
            "session_2": [
                {"speaker": "Ann", "dia_id": "D2:1", "text": "Look!", "blip_caption": "a sailboat in fog"},
                {"speaker": "Bob", "dia_id": "D2:2", "text": "Comet has grown, I see."},
            ],
        },
        "qa": [
            {"question": "Who is Comet the greyhound?", "evidence": ["D1:1; D2:2"], "category": 1},
            {"question": "Who repaired an accordion?", "evidence": ["D1:2"], "category": 4},
            {"question": "Who photographed a sailboat?", "evidence": ["D2:1"], "category": 5},
            {"question": "Nobody knows?", "evidence": [], "category": 3},
        ],
        "observation": {
            "session_1_observation": {"Ann": [["Ann adopted a greyhound, Comet.", "D1:1"]]},
            "session_2_observation": {"Bob": [["Bob repairs accordions.", ["D1:2", "D2:2"]]]},
        },
    }
]
MEMORYBANK = {
    "users": [
        {
            "name": "小明",
            "turns": [
                {"id": "D1:1", "role": "user", "date": "2023-04-27", "text": "我昨天去了绿禾公园散步。"},
                {"id": "D1:2", "role": "assistant", "date": "2023-04-27", "text": "听起来很不错！"},
                {"id": "D2:1", "role": "user", "date": "2023-04-28", "text": "我喜欢弹钢琴。"},
            ],
            "qa": [
                {"question": "我去了哪个公园？", "evidence": ["D1:1"], "alternatives": [["D1:1"], ["D1:2"]]},
            ],
        }
    ]
}
COMMON = {
    "name": "tiny",
    "language": "en",
    "conversations": [
        {
            "id": "chat",
            "messages": [
                {
                    "id": "1",
                    "session": "1",
                    "speaker": "Emi",
                    "role": "other",
                    "date": "2024-01-02T03:04:05",
                    "text": "My greyhound is called Comet.",
                },
                {
                    "id": "2",
                    "session": "1",
                    "speaker": "assistant",
                    "role": "assistant",
                    "date": None,
                    "text": "What a lovely name!",
                },
            ],
            "questions": [
                {"question": "How is the greyhound called?", "category": "1", "evidence": ["1"]},
                {"question": "In which order?", "category": "event_ordering", "evidence": ["1", "2"]},
                {"question": "Nobody knows?", "category": "1", "evidence": []},
            ],
        },
        {
            "id": "facts",
            "messages": [
                {
                    "id": "1",
                    "session": "1",
                    "speaker": "memory",
                    "role": "memory",
                    "date": "2023-12-25",
                    "text": "Bart danced at the party.",
                },
            ],
            "questions": [{"question": "Who danced?", "category": "2", "evidence": ["1"]}],
        },
    ],
}  # the common format: messages of people and assistants, and facts that are stored as memories


def write(folder: Path, data: object) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


async def measured(path: Path, url: str, *more: str) -> retrieval.Report:
    options = ["--data", str(path), "--embedding", "hash", "--database-url", url, *more]
    return await retrieval.run(retrieval.parser().parse_args(options))


async def test_turns_are_found_and_arms_equal_the_references(tmp_path: Path, empty_url: str) -> None:
    report = await measured(
        write(tmp_path, LOCOMO), empty_url, "--check-min-score", "--cache", str(tmp_path / "cache")
    )
    pipeline = report.systems["pipeline"]
    assert {name: n for name, (n, _) in pipeline.items()} == {
        "multi-hop": 1,
        "single-hop": 1,
        "all": 2,
        "adversarial": 1,
    }
    assert pipeline["all"][1].recall[5] == 1.0
    assert pipeline["adversarial"][1].any[5] == 1.0, "captions of images are part of what is stored"
    assert all(value <= retrieval.TOLERANCE for value in report.differences.values()), report.differences
    text = report.text()
    assert "sha256" in text
    assert "DIFFERENT" not in text


async def test_facts_stand_for_the_turns_they_were_taken_from(tmp_path: Path, empty_url: str) -> None:
    report = await measured(write(tmp_path, LOCOMO), empty_url, "--as", "facts")
    assert report.systems["pipeline"]["single-hop"][1].recall[1] == 1.0


async def test_what_rules_extract_counts_as_the_turn_it_came_from(tmp_path: Path, empty_url: str) -> None:
    report = await measured(write(tmp_path, MEMORYBANK), empty_url, "--rules")
    assert report.systems["pipeline"]["all"][1].recall[5] == 1.0
    assert all(value <= retrieval.TOLERANCE for value in report.differences.values()), report.differences


async def test_every_sufficient_set_of_a_chinese_question_counts(tmp_path: Path, empty_url: str) -> None:
    report = await measured(write(tmp_path, MEMORYBANK), empty_url)
    assert report.systems["pipeline"]["all"][1].recall[1] == 1.0


async def test_the_ablation_reports_every_variant(tmp_path: Path, empty_url: str) -> None:
    report = await measured(write(tmp_path, LOCOMO), empty_url, "--ablation")
    assert list(report.ablation) == ["everything", *(label for label, _ in retrieval.ABLATION)]


def test_evidence_recall_counts_what_a_list_covers() -> None:
    ranked = [frozenset({"a"}), frozenset({"x"}), frozenset({"b", "c"})]
    quality = metrics.judge(ranked, [frozenset({"a", "b", "c", "d"})])
    assert quality.recall[1] == 0.25
    assert quality.recall[5] == 0.75
    assert quality.mrr == 1.0
    assert metrics.judge(ranked, [frozenset({"d"}), frozenset({"x"})]).recall[5] == 1.0
    assert metrics.judge(ranked, [frozenset({"d"})]).mrr == 0.0


def test_conversations_are_chosen_by_number() -> None:
    assert datasets.numbers("1-3,5", 5) == [1, 2, 3, 5]
    with pytest.raises(ValueError, match="no conversation 6"):
        datasets.numbers("6", 5)


def test_the_common_format_says_who_spoke_and_when(tmp_path: Path) -> None:
    chat, facts = datasets.load(write(tmp_path, COMMON)).conversations
    emi, reply = chat.turns
    assert (emi.role, emi.speaker, str(emi.occurred_at)) == ("user", "Emi", "2024-01-02 03:04:05+00:00")
    assert (reply.role, reply.speaker, reply.occurred_at) == ("assistant", None, None)
    assert [question.category for question in chat.questions] == ["1", "event_ordering"]
    assert facts.turns[0].role == datasets.MEMORY


async def test_sets_are_measured_side_by_side(tmp_path: Path, empty_url: str) -> None:
    (tmp_path / "locomo").mkdir()
    files = [
        str(write(tmp_path, COMMON)),
        str(write(tmp_path / "locomo", LOCOMO).rename(tmp_path / "two.json")),
    ]
    options = ["--data", *files, "--embedding", "hash", "--database-url", empty_url]
    report = await sets.run(sets.parser().parse_args(options))
    assert report.sets["data"]["pipeline"]["all"][0] == 2, "questions about an order do not count in all"
    assert report.sets["data"]["pipeline"]["2"][1].recall[1] == 1.0, "a fact is found as what it stands for"
    assert report.sets["two"]["bm25_results"]["all"][1].recall[5] == 1.0
    assert "points ahead" in report.text()
