"""Whatever happens in whatever order: insights rest on what holds, and the averages are those of what holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuromem.digest.emotion_profile import compute_emotion_profile
from neuromem.errors import ConflictError
from neuromem.store.memories.emotions import emotion_sums, recent_mood
from neuromem.testing.internals import database_of
from tests.digest.model import feel, insight
from tests.ingest.extraction.model import answering
from tests.support.user_data import now, supersede

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer

WHICH = st.integers(0, 20)
FEELINGS = st.sampled_from([None, -1.0, -0.3333, 0.1, 0.7])
STEPS = st.one_of(
    st.tuples(
        st.just("feel"), WHICH, FEELINGS, st.sampled_from(["joy", "fear", None]), st.sampled_from("AB")
    ),
    st.tuples(st.just("say"), WHICH),
    st.tuples(st.just("supersede"), st.integers(0, 3)),
    st.tuples(st.just("update"), WHICH, WHICH),
    st.tuples(st.just("pin"), WHICH, st.booleans()),
    st.tuples(st.just("delete"), WHICH, st.booleans()),
    st.tuples(st.just("forget a session"), st.sampled_from("AB")),
    st.tuples(st.just("restore"), WHICH),
    st.tuples(st.just("rollback"), WHICH),
    st.tuples(st.just("digest"), st.integers(1, 4)),
    st.tuples(st.just("digest"), st.integers(1, 4)),
)


def think(shown: dict[str, Any]) -> dict[str, Any]:
    """Conclude something different each time, now and then for, about or against what is known."""
    names = [memory["id"] for memory in (*shown["memories"], *shown["related"])]
    said = [memory["content"] for memory in shown["memories"]]
    found = [insight(f"Insight of {said[0]}", names[:2]), insight(f"Insight of {len(said)}", names[-2:])]
    for known, standing in zip(shown["insights"], ("reinforces", "refines", "contradicts"), strict=False):
        pointer = {"id": known["id"], "standing": standing}
        found.append(insight(f"{known['content']} and {said[-1]}"[:200], names[:1], known=pointer))
    return {"insights": found, "state": f"Mood of {said[0]}", "nothing": None}


async def step(nm: NeuroMemory, user: str, what: tuple[Any, ...], past: list[datetime]) -> None:
    kind, *given = what
    known = [m.id for m in await nm.list_memories(user, limit=1_000, descending=False)]
    chosen = known[given[0] % len(known)] if known and isinstance(given[0], int) else str(uuid4())
    try:
        if kind == "feel":
            n, valence, name, session = given
            message = await nm.ingest(user, "user", f"Words {uuid4()}", session)
            more = {"entities": (f"Topic {n % 3}",), "category": "life", "sources": (message.id,)}
            await feel(
                nm, user, f"Felt {n}", valence, None if valence is None else abs(valence), name, **more
            )
        elif kind == "say":
            await nm.add_memory(user, f"Says {given[0]}")
        elif kind == "supersede":
            await supersede(nm, user, f"Lives in city{given[0]}")
        elif kind == "update":
            await nm.update_memory(user, chosen, f"Changed {given[1]}")
        elif kind == "pin":
            await nm.pin(user, chosen, given[1])
        elif kind == "delete":
            await nm.delete_memory(user, chosen, erase=given[1])
        elif kind == "forget a session":
            await nm.conversations.delete_session(user, given[0])
        elif kind == "restore":
            await nm.restore_memory(user, chosen)
        elif kind == "rollback":
            await nm.rollback_memories(user, past[given[0] % len(past)])
        else:
            await nm.digest(user, batch_size=given[0])
    except (LookupError, ConflictError):
        return


async def check(nm: NeuroMemory, user: str) -> None:
    """What must hold at every moment."""
    known = {m.id: m for m in await nm.list_memories(user, limit=1_000)}
    for one in await nm.insights(user, limit=1_000):
        own = known[one["id"]].origin
        assert set(one["source_ids"]) <= known.keys()
        assert one["id"] not in one["source_ids"]
        assert 0 <= one["confidence"] <= 1
        if own.get("by") == "digest" and not known[one["id"]].pinned and "restored" not in own:
            assert one["source_ids"], own
    async with database_of(nm).reader(user) as transaction:
        kept = await emotion_sums(transaction, user)
        recounted = await emotion_sums(transaction, user, recount=True)
        recent = await recent_mood(transaction, user)
    assert kept == recounted
    profile = compute_emotion_profile(kept, recent)
    felt = [m for m in known.values() if m.memory_type != "insight" and m.valence is not None]
    mean = sum(round(m.valence or 0, 6) for m in felt) / len(felt) if felt else None
    if mean is None:
        assert profile["valence_avg"] is None
    else:
        assert abs((profile["valence_avg"] or 0) - mean) < 1e-9
    assert all(trigger["memories"] > 0 for trigger in profile["emotion_triggers"].values())


async def snapshot(nm: NeuroMemory, user: str, as_of: datetime | None = None) -> dict[str, Any]:
    """What was known, without what fades by itself."""
    profile = await nm.emotion_profile(user, as_of)
    return {
        "insights": {
            one["id"]: (one["content"], set(one["source_ids"]), one["stage"], round(one["confidence"], 2))
            for one in await nm.insights(user, limit=1_000, as_of=as_of)
        },
        "profile": {**profile, "latest_state_valence": round(profile["latest_state_valence"] or 0, 3)},
    }


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=6, max_size=16))
async def test_insights_rest_on_what_holds_and_the_sums_are_right(
    nm: NeuroMemory, model: HttpServer, steps: list[tuple[Any, ...]]
) -> None:
    model.always = answering(think)
    user = f"user-{uuid4()}"
    past, snapshots = [await now(nm)], [await snapshot(nm, user)]
    for what in steps:
        await step(nm, user, what, past)
        await check(nm, user)
        if what[0] in ("delete", "forget a session") and what[-1] is not False:  # erased: the past changed
            snapshots = [await snapshot(nm, user, moment) for moment in past]
        past.append(await now(nm))
        snapshots.append(await snapshot(nm, user))
    for moment, then in zip(past, snapshots, strict=True):
        assert await snapshot(nm, user, moment) == then
