"""Relations as extraction writes them, and what recall reads of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from neuromem.domain.graph import EdgeType
from neuromem.domain.names import names_in
from neuromem.store.database.users import begin_write
from neuromem.store.graph.read import edges_around_names
from neuromem.store.graph.write import store_relations
from tests.support.relations import edge

if TYPE_CHECKING:
    from neuromem.domain.graph import NewEdge
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

ORIGIN = {"by": "extraction"}


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


async def learn(database: Database, *edges: NewEdge, user: str = "alice") -> list[str]:
    async with database.user(user) as transaction:
        now = (await begin_write(transaction, user)).now
        return [found.outcome for found in await store_relations(transaction, user, edges, now, ORIGIN)]


async def near(database: Database, *names: str, user: str = "alice", **options: Any) -> list[str]:
    async with database.reader(user) as transaction:
        keys = [key for name in names for key in names_in(name)]
        return [str(e) for e in await edges_around_names(transaction, user, keys, **options)]


async def nodes(nm: NeuroMemory, user: str = "alice") -> list[tuple[str, str]]:
    return [(node.node_type.value, node.id) for node in await nm.graph.list_nodes(user)]


async def test_the_same_name_is_the_same_thing_across_messages(nm: NeuroMemory, database: Database) -> None:
    await learn(database, edge("alice", "works_at", "Google", types=("user", "organization")))
    await learn(
        database,
        edge("alice", "uses", "google"),
        edge("Alice", "hobby", "Chess", types=("person", "concept")),
    )
    await learn(database, edge("alice", "knows", "GOOGLE", types=("entity", "organization")))
    assert await nodes(nm) == [("USER", "alice"), ("ORGANIZATION", "Google"), ("CONCEPT", "Chess")]


async def test_a_thing_of_unknown_type_takes_the_first_type_it_is_given(
    nm: NeuroMemory, database: Database
) -> None:
    await learn(
        database, edge("alice", "uses", "Rust"), edge("alice", "has_skill", "Rust", types=("user", "skill"))
    )
    await learn(database, edge("alice", "visited", "Oslo"))
    await learn(database, edge("alice", "lives_in", "Oslo", types=("user", "location")))
    assert await nodes(nm) == [("USER", "alice"), ("SKILL", "Rust"), ("ENTITY", "Oslo")]


async def test_two_things_of_one_name_and_known_types_stay_two(nm: NeuroMemory, database: Database) -> None:
    await learn(database, edge("alice", "visited", "Paris", types=("user", "location")))
    await learn(database, edge("alice", "knows", "Paris", types=("user", "person")))
    await learn(database, edge("alice", "related_to", "Paris"))
    kinds = [kind for kind, name in await nodes(nm) if name == "Paris"]
    assert sorted(kinds) == ["ENTITY", "LOCATION", "PERSON"]


@pytest.mark.parametrize(
    "names",
    [("Room 101", "Room 102"), ("Tigran", "Iran"), ("York", "New York"), ("iPhone 15", "iPhone 15 Pro")],
)
async def test_names_that_contain_each_other_or_differ_in_digits_stay_apart(
    nm: NeuroMemory, database: Database, names: tuple[str, str]
) -> None:
    for name in names:
        await learn(database, edge("alice", "visited", name))
    assert {name for _, name in await nodes(nm)} == {"alice", *names}


async def test_an_alias_leads_to_its_node(nm: NeuroMemory, database: Database) -> None:
    await learn(database, edge("alice", "knows", "Robert", types=("user", "person")))
    await nm.graph.alias("alice", "person", "Robert", "Bob")
    assert await learn(database, edge("alice", "knows", "bob", types=("user", "person"))) == ["repeated"]
    await learn(database, edge("bob", "lives_in", "Rome", types=("person", "location")))
    assert await near(database, "Where does Bob live?") == [
        "Robert -> LIVES_IN -> Rome",
        "alice -> KNOWS -> Robert",
    ]


async def test_what_is_said_again_gains_sources_and_no_edge(nm: NeuroMemory, database: Database) -> None:
    _, ids = await nm.conversations.add_messages_batch(
        "alice", [{"role": "user", "content": "I play chess"}, {"role": "user", "content": "chess again!"}]
    )
    _, foreign = await nm.conversations.add_messages_batch("bob", [{"role": "user", "content": "not hers"}])
    invented = str(uuid4())
    for source in ids:
        await learn(database, edge("alice", "hobby", "chess", sources=[source, invented, *foreign]))
    (found,) = await nm.graph.list_edges("alice")
    assert found.sources == tuple(ids)
    assert await learn(database, edge("alice", "hobby", "chess")) == ["repeated"]


async def test_messages_imported_out_of_order_leave_the_latest_home(
    nm: NeuroMemory, database: Database
) -> None:
    for place, number in (("Rome", 20), ("Paris", 3), ("Rome", 25), ("Paris", 4)):
        await learn(database, edge("alice", "lives_in", place, said_at=day(number)))
    assert [str(e) for e in await nm.graph.list_edges("alice")] == ["alice -> LIVES_IN -> Rome"]
    both = await nm.graph.list_edges("alice", include_ended=True)
    assert {(e.target_id, e.valid_from, e.valid_until) for e in both} == {
        ("Rome", day(20), None),
        ("Paris", day(3), day(20)),
    }


async def test_a_home_of_which_only_the_end_is_known_ends_nothing(
    nm: NeuroMemory, database: Database
) -> None:
    await learn(database, edge("alice", "lives_in", "Rome", said_at=day(5)))
    await learn(database, edge("alice", "lives_in", "Paris", said_at=day(6), valid_until=day(2)))
    assert [str(e) for e in await nm.graph.list_edges("alice")] == ["alice -> LIVES_IN -> Rome"]
    await learn(database, edge("alice", "lives_in", "Rome", said_at=day(9), valid_until=day(8)))
    assert await nm.graph.list_edges("alice") == []


async def test_two_homes_in_one_batch_of_one_moment_keep_the_last(
    nm: NeuroMemory, database: Database
) -> None:
    await learn(
        database, *(edge("alice", "lives_in", place, said_at=day(5)) for place in ("Paris", "Rome", "Paris"))
    )
    assert [str(e) for e in await nm.graph.list_edges("alice", include_ended=True)] == [
        "alice -> LIVES_IN -> Paris"
    ]


async def test_the_neighborhood_of_a_question_puts_what_joins_its_names_first(database: Database) -> None:
    await learn(
        database,
        edge("alice", "knows", "Bob"),
        edge("alice", "visited", "Rome"),
        edge("Bob", "lives_in", "Rome", types=("entity", "location")),
        edge("Carol", "owns", "a car", types=("person", "entity")),
    )
    found = await near(database, "Does Bob like Rome?")
    assert found[0] == "Bob -> LIVES_IN -> Rome"
    assert set(found[1:]) == {"alice -> KNOWS -> Bob", "alice -> VISITED -> Rome"}
    assert await near(database, "Does Bob like Rome?", limit=1) == found[:1]
    assert await near(database, "", user="alice") == []
    assert await near(database, "Does Bob like Rome?", user="bob") == []


async def test_chinese_names_are_found_inside_a_sentence(database: Database) -> None:
    await learn(database, edge("alice", EdgeType.LIVES_IN, "北京", types=("user", "location")))
    await learn(database, edge("alice", "同事", "王小明", types=("user", "person")))
    assert await near(database, "她住在北京吗") == ["alice -> LIVES_IN -> 北京"]
    assert await near(database, "王小明是谁？") == ["alice -> 同事 -> 王小明"]
