"""The JSON object of a reply is found in whatever surrounds or mars it."""

from __future__ import annotations

from typing import Any

import pytest

from neuromem.structured_output.json_reply import ReplyShape, parse_json_reply

SHAPE = ReplyShape(frozenset({"facts", "nothing"}), "facts", "content", empty_is_reply=True)
FACTS = {"facts": [{"content": "a"}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"facts": [{"content": "a"}]}', FACTS),
        ('Sure! ```json\n{"FACTS": [{"content": "a"}]}\n``` Anything else?', FACTS),
        ("{'facts': [{'content': 'a',}],}", FACTS),
        ('{"result": {"facts": [{"content": "a"}]}}', FACTS),
        ('[{"content": "a"}]', FACTS),
        ('[1] {"facts": [{"content": "a"}]}', FACTS),
        ("{}", {}),
        ("```json\n{ }\n```", {}),
        ("I would rather not.", None),
        ('{"weather": "fine"}', None),
        ("[1, 2, 3]", None),
    ],
)
def test_the_object_is_found(text: str, value: dict[str, Any] | None) -> None:
    parsed = parse_json_reply(text, SHAPE)
    assert (parsed and parsed.value) == value
    assert parsed is None or not parsed.cut


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"facts": [{"content": "a"}, {"content": "b, in Te', FACTS),
        ('{"facts": [{"content": "a"}], "nothing": "a gre', FACTS),
        ('{"facts": [', {}),
    ],
)
def test_what_was_cut_off_loses_its_last_item(text: str, value: dict[str, Any]) -> None:
    parsed = parse_json_reply(text, SHAPE)
    assert parsed is not None
    assert (parsed.value, parsed.cut, parsed.intact) == (value, True, False)


def test_an_empty_object_may_be_no_reply() -> None:
    assert parse_json_reply("{}", ReplyShape(SHAPE.keys, "facts", "content", empty_is_reply=False)) is None


def test_repair_is_reported() -> None:
    assert [
        parsed.intact
        for text in ('Here: {"facts": []} Bye.', "{'facts': []}")
        if (parsed := parse_json_reply(text, SHAPE)) is not None
    ] == [True, False]
