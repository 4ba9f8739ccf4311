"""Items are validated one by one, and what a model says about known things is read in the words that it uses."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from pydantic import Field

from neuromem.structured_output.coerce import OneToTen, OptionalDate, Text, TextList, clean_text
from neuromem.structured_output.items import (
    CheckedReply,
    ReplyModel,
    as_list,
    read_relation_to_known,
    validate_items,
)
from neuromem.structured_output.labels import Labels


class Note(ReplyModel):
    """An item."""

    content: Text
    sources: TextList = ()
    weight: OneToTen = None
    date: OptionalDate = None


class Notes(CheckedReply):
    """A reply."""

    notes: tuple[Note, ...] = ()
    more: dict[str, str] = Field(default_factory=dict)


def test_good_items_are_kept_and_the_others_counted_by_reason() -> None:
    rejected: Counter[str] = Counter()
    raw = [{"Content": "a", "weight": "nine"}, {"content": 7}, 7, {"content": "b", "weight": "much"}, {}]
    items = validate_items(raw, Note, "notes", rejected)
    assert [(item.content, item.weight) for item in items] == [("a", 9), ("b", None)]
    assert rejected == {"notes: content of no use": 2, "notes: item of no use": 1, "weight of no use": 1}


def test_dates_are_relative_to_the_sources_of_their_item() -> None:
    days = {"m1": datetime(2023, 5, 8, 12, tzinfo=UTC), "m2": datetime(2023, 5, 20, 12, tzinfo=UTC)}
    raw = [{"content": "a", "sources": ["m1"], "date": "yesterday"}, {"content": "b", "date": "yesterday"}]
    items = validate_items(
        raw, Note, "notes", Counter(), spoken_at=lambda labels: days[labels[0] if labels else "m2"]
    )
    assert [item.date for item in items] == [datetime(2023, 5, day, tzinfo=UTC) for day in (7, 19)]


def test_a_single_item_and_numbered_items_are_a_list() -> None:
    keys = frozenset({"content"})
    item = {"content": "a"}
    for value in ([item], item, {"1": item}):
        assert as_list(value, item_keys=keys) == [item]
    assert [as_list(value, item_keys=keys) for value in (None, 7, " ", "a")] == [[], [], [], ["a"]]


def test_relations_to_known_things() -> None:
    words = {"repeat": "repeats", "refine": "refines"}
    assert read_relation_to_known({"id": 3, "how": "Repeat", "reason": "x " * 400}, words) == {
        "id": "3",
        "standing": "repeats",
        "reason": ("x " * 400)[:500],
    }
    assert read_relation_to_known([{"id": "k1", "standing": "refines"}], words) == {
        "id": "k1",
        "standing": "refines",
        "reason": None,
    }
    unusual: tuple[object, ...] = (
        None,
        "k1",
        {"id": None, "standing": "repeats"},
        {"id": "k1", "standing": "likes"},
        [],
    )
    for value in unusual:
        assert read_relation_to_known(value, words) is None


def test_a_reply_counts_its_items() -> None:
    reply = Notes(notes=(Note(content="a"),), more={"b": "c"}, rejected={"x": 7})
    assert reply.item_count == 2


def test_labels_resolve_to_what_was_shown() -> None:
    labels = Labels({"m": ["a", "b"], "r": ["c"]})
    assert list(labels.items()) == [("m1", "a"), ("m2", "b"), ("r1", "c")]
    assert list(labels.items("r")) == [("r1", "c")]
    assert [labels.resolve(written) for written in (" M1 ", "2", "r1", "r2", "m9", "")] == [
        "a",
        "b",
        "c",
        None,
        None,
        None,
    ]
    assert labels.resolve_all(["r1", "x", "1"]) == ["c", "a"]
    assert (len(labels), labels.values()) == (3, ["a", "b", "c"])


def test_texts_are_put_on_one_line_and_checked() -> None:
    values = (" a \n b\x00 ", "", "x" * 11, 7, None)
    assert [clean_text(value, 10) for value in values] == ["a b", None, None, None, None]
