"""Exports and imports: what comes back is what went out."""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromem.errors import ConflictError, InputError
from neuromem.testing import HashEmbedding
from tests.conftest import opened
from tests.recall.test_as_of import CHANGES, change
from tests.support.user_data import now, relate, state

if TYPE_CHECKING:
    from pathlib import Path

    from neuromem.memory import NeuroMemory

TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=30).filter(
    str.strip
)


def anonymous(data: dict[str, Any], user: str) -> dict[str, Any]:
    """An export without what differs between two users with the same data."""
    rest = {name: rows for name, rows in data.items() if name not in ("manifest", "users", "jobs")}
    text = json.dumps(rest, sort_keys=True).replace(user, "USER").replace(user.casefold(), "USER")
    found: dict[str, Any] = json.loads(text)
    return found


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(CHANGES, min_size=3, max_size=10),
    messages=st.lists(st.tuples(TEXT, st.sampled_from(["a", "b"])), max_size=4),
    values=st.dictionaries(
        TEXT,
        st.none() | st.integers() | st.text(max_size=9) | st.floats(allow_nan=False, allow_infinity=False),
        max_size=3,
    ),
)
async def test_what_is_imported_equals_what_was_exported(
    nm: NeuroMemory,
    tmp_path: Path,
    steps: list[tuple[Any, ...]],
    messages: list[tuple[str, str]],
    values: dict[str, Any],
) -> None:
    user, other, third = (f"user-{uuid4()}" for _ in range(3))
    known: list[str] = []
    past = [await now(nm)]
    for step in steps:
        await change(nm, user, step, known, past)
        past.append(await now(nm))
    for text, session in messages:
        await nm.ingest(user, "user", text, session, name="Ann")
    await nm.kv.batch_set(user, "notes", values)
    await nm.drain(user)

    data = await nm.export_user_data(user)
    manifest = await nm.export(user, tmp_path / "export.zip")
    assert manifest["tables"] == data["manifest"]["tables"]
    tried = await nm.import_user_data(other, data, dry_run=True)
    assert (await nm.verify_deleted(other))["rows"] == 0
    assert await nm.import_user_data(other, data) == tried
    await nm.import_user_data(third, tmp_path / "export.zip")
    for copy in (other, third):
        assert anonymous(await nm.export_user_data(copy), copy) == anonymous(data, user)
        for moment in (None, *past[::3]):
            theirs, ours = await state(nm, copy, moment), await state(nm, user, moment)
            assert str(theirs).replace(copy, user) == str(ours)
        found = [await nm.recall(who, "Lives in city1 Ann", limit=50) for who in (copy, user)]
        assert [i["content"] for i in found[0]["merged"]] == [i["content"] for i in found[1]["merged"]]
        assert (await nm.import_user_data(copy, data))["already"] is True
        # Life goes on: the clock and the numbers of the index do not begin anew.
        added = await nm.add_memory(copy, "Something entirely new")
        assert added in await nm.list_memories(copy)


async def test_an_import_needs_a_user_without_data_and_leaves_it_alone_otherwise(
    nm: NeuroMemory, tmp_path: Path
) -> None:
    await nm.add_memory("alice", "Likes tea")
    await nm.add_memory("bob", "Likes coffee")
    path = tmp_path / "alice.zip"
    await nm.export("alice", path)
    with pytest.raises(ConflictError, match="'bob' has data already"):
        await nm.import_user_data("bob", path)
    assert [m.content for m in await nm.list_memories("bob")] == ["Likes coffee"]
    await nm.delete_user_data("alice")
    await nm.import_user_data("alice", path)
    assert [m.content for m in await nm.list_memories("alice")] == ["Likes tea"]
    await nm.drain()
    assert (await nm.recall("alice", "tea"))["vector_results"] != []


async def test_what_is_damaged_or_none_of_ours_is_refused(nm: NeuroMemory, tmp_path: Path) -> None:
    await nm.add_memory("alice", "Likes tea")
    path, damaged = tmp_path / "alice.zip", tmp_path / "damaged.zip"
    manifest = await nm.export("alice", path)
    assert manifest["tables"]["memories"]["rows"] == 1
    assert os.listdir(tmp_path) == ["alice.zip"]
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"Likes tea", b"Likes tee"))
    data = await nm.export_user_data("alice")
    newer = {**data, "manifest": {**data["manifest"], "version": 2}}
    short = {**data, "memories": []}
    (tmp_path / "text.zip").write_text("no zip")
    for wrong, said in (
        (damaged, "damaged"),
        (tmp_path / "none.zip", "cannot be read"),
        (tmp_path / "text.zip", "cannot be read"),
        ({"a": 1}, "lacks the manifest"),
        (newer, "version 2"),
        (short, "0 rows of memories"),
    ):
        with pytest.raises(InputError, match=said):
            await nm.import_user_data("bob", wrong)
    assert (await nm.verify_deleted("bob"))["rows"] == 0


async def test_vectors_of_another_model_are_made_anew(nm: NeuroMemory, empty_url: str) -> None:
    await nm.add_memory("alice", "Likes tea")
    await nm.ingest("alice", "user", "I have a cat")
    await relate(nm, "alice", "LIVES_IN", "LOCATION", "Rome")
    await nm.drain()
    data = await nm.export_user_data("alice")
    async with opened(empty_url, embedding=HashEmbedding(dims=32, model="other")) as there:
        result = await there.import_user_data("carol", data)
        assert "vectors" not in result["imported"]
        await there.drain()
        found = await there.recall("carol", "tea cat")
        assert {i["content"] for i in found["vector_results"]} == {"Likes tea", "I have a cat"}
        neighbors = await there.graph.get_neighbors("carol", "USER", "carol")
        assert [n.node.id for n in neighbors] == ["Rome"]
