"""Whatever happens to a graph and a profile: every past moment answers as it did then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromem.domain.graph import EdgeType, NodeType
from neuromem.errors import ConflictError, InputError, NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database

PERSON = NodeType.PERSON
NAMES = st.sampled_from("ABCD")
NUMBERS = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("node"), NAMES, NUMBERS),
        st.tuples(st.just("forget"), NAMES),
        st.tuples(
            st.just("edge"), NAMES, st.sampled_from((EdgeType.KNOWS, EdgeType.LIVES_IN)), NAMES, NUMBERS
        ),
        st.tuples(st.just("unrelate"), NUMBERS),
        st.tuples(st.just("merge"), NAMES, NAMES),
        st.tuples(st.just("alias"), NAMES, st.sampled_from("ABCDXY")),
        st.tuples(st.just("undo"), NUMBERS),
        st.tuples(st.just("profile"), NAMES, NUMBERS),
        st.tuples(st.just("unprofile"), NAMES),
    ),
    min_size=3,
    max_size=14,
)


async def apply(nm: NeuroMemory, user: str, step: tuple[Any, ...], changes: list[str]) -> None:
    """Do one thing, or be refused."""
    graph, (what, *given) = nm.graph, step
    try:
        if what == "node":
            await graph.create_node(user, PERSON, given[0], {"n": given[1]})
        elif what == "forget":
            await graph.delete_node(user, PERSON, given[0])
        elif what == "edge":
            source, kind, target, number = given
            await graph.create_edge(user, PERSON, source, kind, PERSON, target, {"n": number})
        elif what == "unrelate":
            edges = await graph.list_edges(user)
            if len(edges) > given[0]:
                await graph.delete_edge(user, edges[given[0]].id)
        elif what == "merge":
            changes.append((await graph.merge_nodes(user, PERSON, given[0], PERSON, given[1])).id)
        elif what == "alias":
            changes.append((await graph.alias(user, PERSON, given[0], given[1])).id)
        elif what == "undo" and len(changes) > given[0]:
            await graph.undo(user, changes[given[0]])
        elif what == "profile":
            await nm.kv.set(user, "profile", given[0], given[1])
        elif what == "unprofile":
            await nm.kv.delete(user, "profile", given[0])
    except (NotFoundError, ConflictError, InputError):
        pass


async def snapshot(nm: NeuroMemory, user: str, as_of: datetime | None = None) -> dict[str, Any]:
    """Everything that can be read of a user's graph and profile."""
    graph = nm.graph
    return {
        "nodes": await graph.list_nodes(user, as_of=as_of),
        "edges": await graph.list_edges(user, as_of=as_of),
        "found": [await graph.get_node(user, PERSON, name, as_of=as_of) for name in "ABCDXY"],
        "around": await graph.get_neighbors(user, PERSON, "A", depth=2, as_of=as_of),
        "path": await graph.find_path(user, PERSON, "A", PERSON, "B", as_of=as_of),
        "profile": await nm.kv.list(user, "profile", as_of=as_of),
    }


async def now(database: Database) -> datetime:
    async with database.worker() as transaction:
        moment: datetime = await transaction.value("SELECT clock_timestamp()")
    return moment


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_the_past_stays_as_it_was_seen(
    nm: NeuroMemory, database: Database, steps: list[tuple[Any, ...]]
) -> None:
    user, changes = uuid4().hex, list[str]()
    for name in "ABCD":
        await nm.graph.create_node(user, PERSON, name)
    seen = []
    for step in steps:
        await apply(nm, user, step, changes)
        seen.append((step, await now(database), await snapshot(nm, user)))
    for step, moment, then in seen:
        assert await snapshot(nm, user, moment) == then, step


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=STEPS, merged=st.tuples(NAMES, NAMES))
async def test_a_merge_that_is_undone_at_once_never_was(
    nm: NeuroMemory, before: list[tuple[Any, ...]], merged: tuple[str, str]
) -> None:
    user, changes = uuid4().hex, list[str]()
    for step in [*[("node", name, 0) for name in "ABCD"], *before]:
        await apply(nm, user, step, changes)
    earlier = await snapshot(nm, user)
    count = len(changes)
    await apply(nm, user, ("merge", *merged), changes)
    if len(changes) > count:
        await nm.graph.undo(user, changes[-1])
    later = await snapshot(nm, user)
    assert [str(edge) for edge in sorted(later["edges"], key=lambda edge: edge.id)] == [
        str(edge) for edge in sorted(earlier["edges"], key=lambda edge: edge.id)
    ]
    assert [
        (e.id, e.valid_from, e.valid_until, e.properties) for e in sorted(later["edges"], key=lambda e: e.id)
    ] == [
        (e.id, e.valid_from, e.valid_until, e.properties)
        for e in sorted(earlier["edges"], key=lambda e: e.id)
    ]
    for kind in ("nodes", "found"):
        assert later[kind] == earlier[kind]
