from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from neuromem.domain.graph import EdgeType, NodeType
from neuromem.domain.names import names_in
from neuromem.errors import ConflictError, InputError, NotFoundError

if TYPE_CHECKING:
    from neuromem.facades.graph import Graph
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

PERSON, PLACE, ORGANIZATION = NodeType.PERSON, NodeType.LOCATION, NodeType.ORGANIZATION
BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)


async def now(database: Database) -> datetime:
    async with database.worker() as transaction:
        moment = await transaction.value("SELECT clock_timestamp()")
    assert isinstance(moment, datetime)
    return moment


async def people(graph: Graph, *names: str, user: str = "alice") -> None:
    for name in names:
        await graph.create_node(user, PERSON, name)


async def know(graph: Graph, *pairs: tuple[str, str], edge_type: str = EdgeType.KNOWS) -> None:
    for source, target in pairs:
        await graph.create_edge("alice", PERSON, source, edge_type, PERSON, target)


async def facts(graph: Graph, **arguments: Any) -> set[str]:
    return {str(edge) for edge in await graph.list_edges("alice", limit=1_000, **arguments)}


async def test_nodes_are_made_found_changed_and_deleted(nm: NeuroMemory) -> None:
    made = await nm.graph.create_node("alice", "person", "Bob", {"age": 30})
    assert (made.id, made.node_type, made.properties, made.aliases) == ("Bob", PERSON, {"age": 30}, ())
    assert await nm.graph.get_node("alice", PERSON, "Bob") == made
    again = await nm.graph.create_node("alice", PERSON, "bob", {"city": "Rome"})
    assert again.properties == {"age": 30, "city": "Rome"}
    assert again.created_at == made.created_at
    assert (await nm.graph.update_node("alice", PERSON, "Bob", {"age": 31})).properties["age"] == 31
    assert (await nm.graph.update_node("alice", PERSON, "Bob", {"a": 1}, replace=True)).properties == {"a": 1}
    assert await nm.graph.delete_node("alice", PERSON, "BOB") is True
    assert await nm.graph.delete_node("alice", PERSON, "Bob") is False
    assert await nm.graph.get_node("alice", PERSON, "Bob") is None
    with pytest.raises(NotFoundError, match="create_node"):
        await nm.graph.update_node("alice", PERSON, "Bob", {"age": 1})


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("New York Times", "  new   york TIMES "),
        ("Ｎｅｗ Ｙｏｒｋ", "New York"),
        ("Straße", "STRASSE"),
        ("Cafe\u0301", "Café"),
        ("北京大学", "北京大学"),
        ("Ｃ＋＋", "c++"),
        ("ﷺ" * 300, "ﷺ" * 300),
    ],
)
async def test_names_are_compared_without_case_width_and_spacing(
    nm: NeuroMemory, given: str, asked: str
) -> None:
    await nm.graph.create_node("alice", ORGANIZATION, given)
    found = await nm.graph.get_node("alice", "organization", asked)
    assert found is not None
    assert found.id == given


async def test_names_that_are_merely_alike_stay_apart(nm: NeuroMemory) -> None:
    for name in ("Room 101", "Room 102", "Tigran", "Iran", "Iran 2"):
        await nm.graph.create_node("alice", PLACE, name)
    assert [node.id for node in await nm.graph.list_nodes("alice")] == [
        "Room 101",
        "Room 102",
        "Tigran",
        "Iran",
        "Iran 2",
    ]


@pytest.mark.parametrize(
    "user", ["Alice Smith", "alice@example.org", "爱丽丝", "user:1; DROP TABLE nodes", "'\"{s}:x"]
)
async def test_the_own_node_is_there_whatever_the_user_is_called(nm: NeuroMemory, user: str) -> None:
    await nm.graph.create_node(user, ORGANIZATION, "Google")
    edge = await nm.graph.create_edge(user, "user", user, EdgeType.WORKS_AT, ORGANIZATION, "google")
    assert str(edge) == f"{user} -> WORKS_AT -> Google"
    (near,) = await nm.graph.get_neighbors(user, NodeType.USER, user)
    assert (near.node.id, near.distance, near.edges) == ("Google", 1, (edge,))
    path = await nm.graph.find_path(user, NodeType.USER, user, ORGANIZATION, "Google")
    assert path is not None
    assert [node.id for node in path.nodes] == [user, "Google"]


async def test_an_edge_needs_its_nodes_and_a_known_type(nm: NeuroMemory) -> None:
    await people(nm.graph, "Bob")
    with pytest.raises(NotFoundError, match="'Carol'"):
        await nm.graph.create_edge("alice", PERSON, "Bob", EdgeType.KNOWS, PERSON, "Carol")
    with pytest.raises(InputError, match="node type 'martian'"):
        await nm.graph.create_node("alice", "martian", "Zork")
    with pytest.raises(InputError, match="own name"):
        await nm.graph.create_edge("alice", PERSON, "Bob", EdgeType.CUSTOM, PERSON, "Bob")
    with pytest.raises(InputError, match="after valid_from"):
        await nm.graph.create_edge(
            "alice", PERSON, "Bob", EdgeType.KNOWS, PERSON, "Bob", valid_from=BEGINNING, valid_until=BEGINNING
        )


async def test_custom_relations_keep_their_own_names(nm: NeuroMemory) -> None:
    await people(nm.graph, "Bob", "Carol")
    named = await nm.graph.create_edge(
        "alice", PERSON, "Bob", EdgeType.CUSTOM, PERSON, "Carol", name="Mentored by"
    )
    short = await nm.graph.create_edge("alice", PERSON, "Bob", "师傅", PERSON, "Carol")
    same = await nm.graph.create_edge("alice", PERSON, "Bob", "mentored_by", PERSON, "Carol")
    builtin = await nm.graph.create_edge("alice", PERSON, "Bob", "works at", PERSON, "Carol")
    assert (named.edge_type, named.name, short.name) == (EdgeType.CUSTOM, "Mentored by", "师傅")
    assert same.id == named.id
    assert (builtin.edge_type, builtin.name) == (EdgeType.WORKS_AT, None)
    assert await facts(nm.graph, edge_types=["MENTORED BY"]) == {"Bob -> Mentored by -> Carol"}
    assert await facts(nm.graph, edge_types=[EdgeType.CUSTOM]) == {
        "Bob -> Mentored by -> Carol",
        "Bob -> 师傅 -> Carol",
    }


async def test_one_job_ends_the_one_before_and_hobbies_accumulate(
    nm: NeuroMemory, database: Database
) -> None:
    for place in ("Paris", "Rome"):
        await nm.graph.create_node("alice", PLACE, place)
    for hobby in ("chess", "tea"):
        await nm.graph.create_node("alice", NodeType.CONCEPT, hobby)
        await nm.graph.create_edge("alice", "user", "alice", EdgeType.HOBBY, NodeType.CONCEPT, hobby)
    await nm.graph.create_edge("alice", "user", "alice", EdgeType.LIVES_IN, PLACE, "Paris")
    then = await now(database)
    rome = await nm.graph.create_edge("alice", "user", "alice", EdgeType.LIVES_IN, PLACE, "Rome")
    hobbies = {"alice -> HOBBY -> chess", "alice -> HOBBY -> tea"}
    assert await facts(nm.graph) == {*hobbies, "alice -> LIVES_IN -> Rome"}
    assert await facts(nm.graph, as_of=then) == {*hobbies, "alice -> LIVES_IN -> Paris"}
    homes = await nm.graph.list_edges("alice", edge_types=[EdgeType.LIVES_IN], include_ended=True)
    assert {edge.target_id: edge.valid_until for edge in homes} == {"Paris": rome.valid_from, "Rome": None}
    await nm.graph.create_edge("alice", "user", "alice", EdgeType.LIVES_IN, PLACE, "Paris")
    assert await facts(nm.graph) == {*hobbies, "alice -> LIVES_IN -> Paris"}
    homes = await nm.graph.list_edges("alice", edge_types=[EdgeType.LIVES_IN], include_ended=True)
    assert [edge.target_id for edge in homes if edge.valid_until] == ["Paris", "Rome"]


async def test_what_is_learned_late_takes_its_place_in_time(nm: NeuroMemory) -> None:
    def year(number: int) -> datetime:
        return datetime(number, 1, 1, tzinfo=UTC)

    for place in ("Paris", "Rome", "Oslo"):
        await nm.graph.create_node("alice", PLACE, place)

    async def lived(place: str, begin: int) -> None:
        await nm.graph.create_edge(
            "alice", "user", "alice", EdgeType.LIVES_IN, PLACE, place, valid_from=year(begin)
        )

    await lived("Rome", 2020)
    await lived("Paris", 2010)
    await lived("Oslo", 2015)
    await lived("Rome", 2018)
    homes = await nm.graph.list_edges("alice", edge_types=[EdgeType.LIVES_IN], include_ended=True)
    assert {(e.target_id, e.valid_from, e.valid_until) for e in homes} == {
        ("Paris", year(2010), year(2015)),
        ("Oslo", year(2015), year(2018)),
        ("Rome", year(2018), None),
    }


async def test_saying_it_again_adds_properties_and_no_edge(nm: NeuroMemory) -> None:
    await people(nm.graph, "Bob", "Carol")
    first = await nm.graph.create_edge(
        "alice", PERSON, "Bob", EdgeType.MET, PERSON, "Carol", {"where": "Rome"}
    )
    again = await nm.graph.create_edge("alice", PERSON, "Bob", EdgeType.MET, PERSON, "Carol", {"when": "May"})
    assert again.id == first.id
    assert again.properties == {"where": "Rome", "when": "May"}
    assert len(await nm.graph.list_edges("alice")) == 1


async def test_every_read_can_speak_of_the_past(nm: NeuroMemory, database: Database) -> None:
    await people(nm.graph, "Ann", "Bob", "Carol")
    await know(nm.graph, ("Ann", "Bob"), ("Bob", "Carol"))
    await nm.graph.update_node("alice", PERSON, "Bob", {"age": 30})
    then = await now(database)
    await nm.graph.update_node("alice", PERSON, "Bob", {"age": 31})
    await nm.graph.alias("alice", PERSON, "Ann", "Annie")
    await nm.graph.delete_node("alice", PERSON, "Bob")
    assert await nm.graph.get_node("alice", PERSON, "Bob") is None
    assert await nm.graph.list_edges("alice") == []
    assert await nm.graph.find_path("alice", PERSON, "Ann", PERSON, "Carol") is None
    assert await nm.graph.get_neighbors("alice", PERSON, "Carol") == []
    old = await nm.graph.get_node("alice", PERSON, "Bob", as_of=then)
    assert old is not None
    assert old.properties == {"age": 30}
    assert await nm.graph.get_node("alice", PERSON, "Annie", as_of=then) is None
    assert [node.id for node in await nm.graph.list_nodes("alice", as_of=then)] == ["Ann", "Bob", "Carol"]
    assert await facts(nm.graph, as_of=then) == {"Ann -> KNOWS -> Bob", "Bob -> KNOWS -> Carol"}
    path = await nm.graph.find_path("alice", PERSON, "Ann", PERSON, "Carol", as_of=then)
    assert path is not None
    assert [node.id for node in path.nodes] == ["Ann", "Bob", "Carol"]
    assert path.nodes[0].aliases == ()
    near = await nm.graph.get_neighbors("alice", PERSON, "Carol", depth=2, as_of=then)
    assert [(n.node.id, n.distance) for n in near] == [("Bob", 1), ("Ann", 2)]
    assert await nm.graph.list_nodes("alice", as_of=then - timedelta(days=1)) == []


async def test_neighbors_by_direction_type_depth_and_limit(nm: NeuroMemory) -> None:
    await people(nm.graph, *"ABCDE")
    await know(nm.graph, ("A", "B"), ("C", "A"), ("B", "D"), ("D", "A"), ("A", "A"))
    await know(nm.graph, ("A", "B"), ("A", "E"), edge_type=EdgeType.COLLEAGUE)

    async def near(**arguments: Any) -> list[tuple[str, int, int]]:
        found = await nm.graph.get_neighbors("alice", PERSON, "A", **arguments)
        return [(n.node.id, n.distance, len(n.edges)) for n in found]

    assert await near() == [("E", 1, 1), ("B", 1, 2), ("D", 1, 1), ("C", 1, 1)]
    assert await near(direction="out") == [("E", 1, 1), ("B", 1, 2)]
    assert await near(direction="in") == [("D", 1, 1), ("C", 1, 1)]
    assert await near(direction="out", depth=2) == [("E", 1, 1), ("B", 1, 2), ("D", 2, 1)]
    assert await near(edge_types=[EdgeType.COLLEAGUE]) == [("E", 1, 1), ("B", 1, 1)]
    assert await near(limit=2) == [("E", 1, 1), ("B", 1, 2)]
    assert await near(edge_types=[]) == []
    with pytest.raises(InputError, match="write \\['KNOWS'\\]"):
        await near(edge_types="KNOWS")


async def test_users_have_graphs_of_their_own(nm: NeuroMemory) -> None:
    for user in ("alice", "bob"):
        await people(nm.graph, "Ann", "Carol", user=user)
    edge = await nm.graph.create_edge("alice", PERSON, "Ann", EdgeType.KNOWS, PERSON, "Carol")
    change = await nm.graph.alias("alice", PERSON, "Ann", "Annie")
    assert await nm.graph.find_path("bob", PERSON, "Ann", PERSON, "Carol") is None
    assert await nm.graph.delete_edge("bob", edge.id) is False
    with pytest.raises(NotFoundError):
        await nm.graph.undo("bob", change.id)
    assert await nm.graph.delete_edge("alice", edge.id) is True
    assert await nm.graph.delete_edge("alice", edge.id) is False


async def test_an_alias_is_as_good_as_the_name_until_it_is_undone(nm: NeuroMemory) -> None:
    await people(nm.graph, "Robert", "Carol")
    change = await nm.graph.alias("alice", PERSON, "Robert", "Bob")
    await know(nm.graph, ("bob", "Carol"))
    found = await nm.graph.get_node("alice", PERSON, "BOB")
    assert found is not None
    assert (found.id, found.aliases) == ("Robert", ("Bob",))
    assert change.node == found
    with pytest.raises(ConflictError, match="merge_nodes"):
        await nm.graph.alias("alice", PERSON, "Carol", "Bob")
    await nm.graph.undo("alice", change.id)
    assert await nm.graph.get_node("alice", PERSON, "Bob") is None
    assert await facts(nm.graph) == {"Robert -> KNOWS -> Carol"}
    with pytest.raises(NotFoundError):
        await nm.graph.undo("alice", change.id)


async def test_a_merge_is_one_thing_under_all_names_and_can_be_taken_apart(
    nm: NeuroMemory, database: Database
) -> None:
    await people(nm.graph, "Robert", "Bob", "Carol", "Dan")
    for place in ("Google", "Meta"):
        await nm.graph.create_node("alice", ORGANIZATION, place)
    await nm.graph.update_node("alice", PERSON, "Robert", {"age": 40})
    await nm.graph.update_node("alice", PERSON, "Bob", {"age": 39, "city": "Rome"})
    await know(
        nm.graph, ("Robert", "Carol"), ("Bob", "Carol"), ("Dan", "Bob"), ("Bob", "Robert"), ("Bob", "Bob")
    )
    for who, where in (("Robert", "Google"), ("Bob", "Meta")):
        await nm.graph.create_edge("alice", PERSON, who, EdgeType.WORKS_AT, ORGANIZATION, where)
    before, then = await facts(nm.graph), await now(database)
    nodes = await nm.graph.list_nodes("alice")

    change = await nm.graph.merge_nodes("alice", PERSON, "Robert", PERSON, "Bob")
    assert change.node.aliases == ("Bob",)
    assert change.node.properties == {"age": 40, "city": "Rome"}
    assert await facts(nm.graph) == {
        "Robert -> KNOWS -> Carol",
        "Dan -> KNOWS -> Robert",
        "Robert -> KNOWS -> Robert",
        "Robert -> WORKS_AT -> Meta",
    }
    assert await facts(nm.graph, as_of=then) == before
    await know(nm.graph, ("Bob", "Dan"))
    merged = await now(database)

    await nm.graph.undo("alice", change.id)
    assert await facts(nm.graph) == {*before, "Robert -> KNOWS -> Dan"}
    assert await nm.graph.list_nodes("alice") == nodes
    assert "Dan -> KNOWS -> Robert" in await facts(nm.graph, as_of=merged)
    assert await facts(nm.graph, as_of=then) == before
    bob = await nm.graph.get_node("alice", PERSON, "Bob")
    assert bob is not None
    assert (bob.id, bob.aliases, bob.properties) == ("Bob", (), {"age": 39, "city": "Rome"})


async def test_undoing_a_merge_respects_what_happened_since(nm: NeuroMemory) -> None:
    await people(nm.graph, "Robert", "Bob", "Carol", "Dan")
    await know(nm.graph, ("Bob", "Carol"), ("Bob", "Dan"))
    change = await nm.graph.merge_nodes("alice", PERSON, "Robert", PERSON, "Bob")
    edges = {edge.target_id: edge.id for edge in await nm.graph.list_edges("alice")}
    await nm.graph.delete_edge("alice", edges["Dan"])
    await nm.graph.create_edge("alice", PERSON, "Bob", EdgeType.KNOWS, PERSON, "Carol", {"since": "May"})
    await nm.graph.undo("alice", change.id)
    (edge,) = await nm.graph.list_edges("alice")
    assert (str(edge), edge.properties) == ("Bob -> KNOWS -> Carol", {"since": "May"})


async def test_the_own_node_cannot_be_merged_away(nm: NeuroMemory) -> None:
    await people(nm.graph, "Alice S.")
    with pytest.raises(InputError, match="must stay"):
        await nm.graph.merge_nodes("alice", PERSON, "Alice S.", "user", "alice")
    change = await nm.graph.merge_nodes("alice", "user", "alice", PERSON, "Alice S.")
    assert change.node.node_type is NodeType.USER
    assert await nm.graph.get_node("alice", PERSON, "alice s.") == change.node


def test_names_are_looked_for_in_a_question_as_they_are_compared() -> None:
    names = set(names_in("Does Alice's friend at the New York Times use C++ at AT&T in 北京大学?"))
    assert {"alice", "new york times", "c++", "at&t", "北京大学", "北京"} <= names
    assert len(names_in("word " * 100_000)) <= 2_000
