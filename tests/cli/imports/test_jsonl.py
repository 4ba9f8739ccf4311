"""A history read for import: the same message has the same key at every reading."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from neuromem.cli.imports.jsonl import BATCH_LINES, Line, MessageFile, batches

SAID = st.fixed_dictionaries(
    {
        "role": st.just("user"),
        "content": st.sampled_from(["ok", "no", "好"]),
        "session": st.sampled_from("ab"),
    }
)


def read(lines: list[dict[str, Any]]) -> list[Line]:
    file = io.BytesIO("\n".join(map(json.dumps, lines)).encode())
    return list(MessageFile(file, "ana", name="talk", session="talk", most=1000).lines())


def keys(lines: list[dict[str, Any]]) -> list[str]:
    return [str(line.message.get("idempotency_key")) for line in read(lines)]


@given(st.lists(SAID), st.lists(SAID))
def test_appending_keeps_the_keys_of_what_was_there(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> None:
    found = keys(old + new)
    assert found[: len(old)] == keys(old)
    assert len(set(found)) == len(found)


@given(st.lists(SAID))
def test_leaving_out_a_session_keeps_the_keys_of_the_other(lines: list[dict[str, Any]]) -> None:
    rest = [line for line in lines if line["session"] == "a"]
    everything = zip(lines, keys(lines), strict=True)
    assert keys(rest) == [key for line, key in everything if line["session"] == "a"]


def test_a_key_knows_who_spoke_and_when() -> None:
    line: dict[str, Any] = {"role": "user", "content": "ok", "session": "a"}
    other = [
        {**line, "role": "tool"},
        {**line, "speaker": "Ana"},
        {**line, "date": "2024-01-01"},
        {**line, "session": "b"},
        {**line, "id": 1},
    ]
    assert len(set(keys([line, *other]))) == 6


def test_the_ways_to_write_one_moment_or_name_give_one_key() -> None:
    line = {"role": "user", "content": "ok"}
    one = {**line, "date": "2024-01-01T10:00:00+02:00", "speaker": "Ana", "metadata": None}
    other = {**line, "occurred_at": "2024-01-01 08:00", "name": "Ana"}
    assert keys([one]) == keys([other])


@given(st.lists(st.sampled_from("abc"), max_size=3 * BATCH_LINES))
def test_batches_lose_nothing_and_keep_each_session_in_order(sessions: list[str]) -> None:
    lines = [
        Line(number, session, {"role": "user", "content": "x"})
        for number, session in enumerate(sessions, start=1)
    ]
    found: dict[str, list[int]] = {}
    for batch in batches(lines):
        assert sum(map(len, batch.values())) <= BATCH_LINES
        for session, part in batch.items():
            found.setdefault(session, []).extend(line.number for line in part)
    assert found == {
        name: [line.number for line in lines if line.session == name] for name in dict.fromkeys(sessions)
    }


def test_long_messages_make_small_batches() -> None:
    lines = [Line(n, "a", {"role": "user", "content": "x" * 500_000}) for n in range(8)]
    assert [len(batch["a"]) for batch in batches(lines)] == [4, 4]
