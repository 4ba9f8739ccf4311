from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromem.errors import InputError

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ABSENT = object()


async def now(database: Database) -> datetime:
    """A moment of the database's own clock, after everything so far."""
    async with database.worker() as transaction:
        moment = await transaction.value("SELECT clock_timestamp()")
    assert isinstance(moment, datetime)
    return moment


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=JSON, key=st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=40)
)
async def test_any_json_comes_back_as_it_was(nm: NeuroMemory, value: Any, key: str) -> None:
    for namespace in ("profile", "notes"):
        await nm.kv.set("alice", namespace, key, value)
        stored = await nm.kv.get("alice", namespace, key, ABSENT)
        assert stored == value
        assert type(stored) is type(value)


async def test_a_stored_none_differs_from_an_absent_key(nm: NeuroMemory) -> None:
    await nm.kv.set("alice", "notes", "nothing", None)
    assert await nm.kv.get("alice", "notes", "nothing", ABSENT) is None
    assert await nm.kv.get("alice", "notes", "absent", ABSENT) is ABSENT
    assert await nm.kv.get("alice", "notes", "absent") is None


@pytest.mark.parametrize("namespace", ["profile", "notes"])
async def test_delete_says_whether_the_key_was_there(nm: NeuroMemory, namespace: str) -> None:
    await nm.kv.set("alice", namespace, "k", 1)
    assert await nm.kv.delete("alice", namespace, "k") is True
    assert await nm.kv.delete("alice", namespace, "k") is False
    assert await nm.kv.get("alice", namespace, "k", ABSENT) is ABSENT


async def test_the_prefix_is_literal_and_pages_follow_each_other(nm: NeuroMemory) -> None:
    keys = ["a%1", "a%2", "a_1", "ab1", "b", "a\\x", "中文", "中国"]
    await nm.kv.batch_set("alice", "notes", {key: i for i, key in enumerate(keys)})
    assert [item["key"] for item in await nm.kv.list("alice", "notes", "a%")] == ["a%1", "a%2"]
    assert [item["key"] for item in await nm.kv.list("alice", "notes", "a_")] == ["a_1"]
    assert [item["key"] for item in await nm.kv.list("alice", "notes", "a\\")] == ["a\\x"]
    assert [item["key"] for item in await nm.kv.list("alice", "notes", "中")] == sorted(["中文", "中国"])
    seen: list[str] = []
    while page := await nm.kv.list("alice", "notes", limit=3, after=seen[-1] if seen else None):
        seen += [item["key"] for item in page]
    assert seen == sorted(keys)
    assert await nm.kv.list("alice", "notes", "b") == [{"key": "b", "value": 4}]


async def test_batch_get_returns_what_is_there_in_the_order_asked_for(nm: NeuroMemory) -> None:
    await nm.kv.batch_set("alice", "notes", {"a": 1, "b": None})
    assert list((await nm.kv.batch_get("alice", "notes", ["b", "x", "a"])).items()) == [("b", None), ("a", 1)]


async def test_fifty_increments_at_once_all_count(nm: NeuroMemory) -> None:
    await asyncio.gather(*(nm.kv.increment("alice", "counters", "visits") for _ in range(50)))
    assert await nm.kv.get("alice", "counters", "visits") == 50
    assert await nm.kv.increment("alice", "counters", "visits", -0.5) == 49.5


async def test_increment_refuses_what_is_not_a_number(nm: NeuroMemory) -> None:
    await nm.kv.set("alice", "notes", "name", "Alice")
    with pytest.raises(InputError, match="holds a str"):
        await nm.kv.increment("alice", "notes", "name")
    assert await nm.kv.get("alice", "notes", "name") == "Alice"


@pytest.mark.parametrize("namespace", ["profile", "notes"])
async def test_what_has_expired_is_as_if_it_were_not_there(nm: NeuroMemory, namespace: str) -> None:
    await nm.kv.set("alice", namespace, "short", 1, ttl=1e-6)
    await nm.kv.set("alice", namespace, "long", 2, ttl=3600)
    assert await nm.kv.get("alice", namespace, "short", ABSENT) is ABSENT
    assert await nm.kv.list("alice", namespace) == [{"key": "long", "value": 2}]
    assert await nm.kv.delete("alice", namespace, "short") is False
    assert await nm.kv.increment("alice", namespace, "short") == 1
    await nm.kv.set("alice", namespace, "long", 3)
    assert await nm.kv.get("alice", namespace, "long") == 3


async def test_expired_pairs_do_not_pile_up(nm: NeuroMemory, database: Database) -> None:
    for i in range(20):
        await nm.kv.set("alice", "cache", f"k{i}", i, ttl=1e-6)
    async with database.user("alice") as transaction:
        assert await transaction.value("SELECT count(*) FROM {s}.kv") <= 1


async def test_an_increment_keeps_the_lifetime_that_a_counter_was_born_with(
    nm: NeuroMemory, database: Database
) -> None:
    expiry = "SELECT expires_at FROM {s}.kv"
    await nm.kv.increment("alice", "limits", "calls", ttl=60)
    async with database.user("alice") as transaction:
        born = await transaction.value(expiry)
    await nm.kv.increment("alice", "limits", "calls", ttl=3600)
    async with database.user("alice") as transaction:
        assert await transaction.value(expiry) == born is not None


async def test_the_profile_is_read_as_it_was(nm: NeuroMemory, database: Database) -> None:
    before = await now(database)
    await nm.kv.set("alice", "profile", "occupation", "student")
    first = await now(database)
    await nm.kv.batch_set("alice", "profile", {"occupation": "engineer", "interests": ["tea"]})
    second = await now(database)
    await nm.kv.delete("alice", "profile", "interests")
    assert await nm.kv.list("alice", "profile", as_of=before) == []
    assert await nm.kv.list("alice", "profile", as_of=first) == [{"key": "occupation", "value": "student"}]
    assert await nm.kv.batch_get("alice", "profile", ["occupation", "interests"], as_of=second) == {
        "occupation": "engineer",
        "interests": ["tea"],
    }
    assert await nm.kv.get("alice", "profile", "interests", ABSENT) is ABSENT
    assert await nm.kv.get("alice", "profile", "occupation", as_of=first) == "student"


async def test_saying_the_same_again_makes_no_version(nm: NeuroMemory, database: Database) -> None:
    for _ in range(3):
        await nm.kv.set("alice", "profile", "occupation", "engineer")
    async with database.user("alice") as transaction:
        assert await transaction.value("SELECT count(*) FROM {s}.kv") == 1


async def test_other_namespaces_do_not_pretend_to_have_a_past(nm: NeuroMemory) -> None:
    with pytest.raises(InputError, match="does not keep its past"):
        await nm.kv.get("alice", "notes", "k", as_of=datetime.now(UTC) - timedelta(days=1))


async def test_users_and_namespaces_do_not_see_each_other(nm: NeuroMemory) -> None:
    await nm.kv.set("alice", "notes", "k", "alice's")
    await nm.kv.set("bob", "notes", "k", "bob's")
    await nm.kv.set("alice", "other", "k", "elsewhere")
    assert await nm.kv.delete("bob", "notes", "k") is True
    assert await nm.kv.get("alice", "notes", "k") == "alice's"
    assert await nm.kv.list("bob", "notes") == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({1: "a"}, "strings as keys"),
        ({"a": [float("nan")]}, "cannot hold"),
        (b"bytes", "bytes"),
        ({"a": {1, 2}}, "set"),
        ("x" * 1_000_001, "at most 1,000,000"),
    ],
)
async def test_what_json_cannot_hold_is_refused_whole(nm: NeuroMemory, value: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        await nm.kv.batch_set("alice", "notes", {"fine": 1, "bad": value})
    assert await nm.kv.get("alice", "notes", "fine", ABSENT) is ABSENT


async def test_deep_nesting_is_refused_instead_of_overflowing(nm: NeuroMemory) -> None:
    value: list[Any] = []
    for _ in range(200):
        value = [value]
    with pytest.raises(InputError, match="100 levels"):
        await nm.kv.set("alice", "notes", "deep", value)


@pytest.mark.parametrize("key", ["", "a\0b", "键" * 342, "\ud800"])
async def test_keys_that_cannot_be_indexed_are_refused(nm: NeuroMemory, key: str) -> None:
    with pytest.raises(InputError):
        await nm.kv.set("alice", "notes", key, 1)


async def test_the_longest_keys_are_stored(nm: NeuroMemory) -> None:
    rng = random.Random(1)
    text = "".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(341))
    await nm.kv.set("键" * 170, text[:85], text, 1)
    assert await nm.kv.get("键" * 170, text[:85], text) == 1


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), "60", True])
async def test_a_lifetime_is_a_positive_number(nm: NeuroMemory, ttl: Any) -> None:
    with pytest.raises(InputError, match="ttl"):
        await nm.kv.set("alice", "notes", "k", 1, ttl=ttl)


async def test_recall_tells_the_profile_now_and_as_it_was(nm: NeuroMemory, database: Database) -> None:
    await nm.kv.set("alice", "profile", "occupation", "student")
    then = await now(database)
    await nm.kv.set("alice", "profile", "occupation", "engineer")
    await nm.kv.set("alice", "notes", "occupation", "not the profile")
    assert (await nm.recall("alice", "work"))["user_profile"] == {"occupation": "engineer"}
    assert (await nm.recall("alice", "work", as_of=then))["user_profile"] == {"occupation": "student"}
    assert (await nm.recall("bob", "work"))["user_profile"] == {}
