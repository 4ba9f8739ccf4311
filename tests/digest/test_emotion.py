"""How a user feels: in a moment, of late, in the long run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.digest.model import feel, insight, saying
from tests.ingest.extraction.model import asked
from tests.support.user_data import now

if TYPE_CHECKING:
    from neuromem.memory import NeuroMemory
    from tests.support.http_server import HttpServer


async def test_the_long_run_goes_over_everything_and_by_topic(nm: NeuroMemory) -> None:
    await feel(
        nm, "alice", "Failed the exam", -0.8, 0.9, "Anxiety", entities=("University",), category="study"
    )
    await feel(nm, "alice", "Fears the next exam", -0.6, 0.7, "anxiety", entities=("University",))
    await feel(nm, "alice", "Wrote a compiler", 0.8, 0.6, "excitement", category="tech")
    await feel(nm, "alice", "Lives in Rome", memory_type="fact")
    await feel(nm, "bob", "Feels fine", 1.0, 0.1, "joy")
    profile = await nm.emotion_profile("alice")
    assert profile["valence_avg"] == pytest.approx(-0.2)
    assert profile["arousal_avg"] == pytest.approx(2.2 / 3)
    assert list(profile["dominant_emotions"]) == ["anxiety", "excitement"]
    assert list(profile["dominant_emotions"].values()) == pytest.approx([2 / 3, 1 / 3])
    assert list(profile["emotion_triggers"]) == ["University", "study", "tech"]
    assert profile["emotion_triggers"]["University"] == {
        "valence": pytest.approx(-0.7),
        "arousal": pytest.approx(0.8),
        "emotion": "anxiety",
        "memories": 2,
    }
    stats = await nm.stats("alice")
    assert stats["emotions"] == {"memories": 3, "valence_avg": profile["valence_avg"], "dominant": "anxiety"}
    assert (stats["undigested"], stats["insights"]) == (4, {})


async def test_of_late_is_two_weeks_and_the_latest_counts_most(nm: NeuroMemory) -> None:
    today = datetime.now(UTC)
    await feel(nm, "alice", "Was sad a year ago", -1.0, occurred_at=today - timedelta(days=365))
    assert (await nm.emotion_profile("alice"))["latest_state_valence"] is None
    await feel(nm, "alice", "Was sad last week", -1.0, occurred_at=today - timedelta(days=10))
    assert (await nm.emotion_profile("alice"))["latest_state_valence"] == pytest.approx(-1.0)
    await feel(nm, "alice", "Looks forward to spring", 1.0, occurred_at=today + timedelta(days=90))
    profile = await nm.emotion_profile("alice")
    assert 0.5 < (profile["latest_state_valence"] or 0) < 1
    assert profile["valence_avg"] == pytest.approx(-1 / 3)


async def test_the_sentence_is_about_the_last_weeks_and_goes_with_its_memories(
    nm: NeuroMemory, model: HttpServer
) -> None:
    model.always = saying(state="Sad about the cat")
    await feel(nm, "alice", "Was sad in 2020", -1.0, occurred_at=datetime(2020, 1, 1, tzinfo=UTC))
    await nm.digest("alice")
    assert (await nm.emotion_profile("alice"))["latest_state"] is None  # nothing of late was shown
    cat = await feel(nm, "alice", "The cat died", -0.9, 0.8, "grief")
    result = await nm.digest("alice")
    assert result is not None
    assert result["emotion_profile"]["latest_state"] == "Sad about the cat"
    shown = asked(model.requests[-1])["memories"][0]
    assert (shown["valence"], shown["arousal"], shown["emotion"]) == (-0.9, 0.8, "grief")
    then = await now(nm)
    model.always = saying(state="Better")
    await feel(nm, "alice", "Got a dog", 0.9)
    await nm.digest("alice")
    assert (await nm.emotion_profile("alice"))["latest_state"] == "Better"
    assert (await nm.emotion_profile("alice", as_of=then))["latest_state"] == "Sad about the cat"
    await nm.delete_memory("alice", cat)
    assert (await nm.emotion_profile("alice"))["latest_state"] == "Better"
    await nm.delete_memory("alice", cat, erase=True)
    assert (await nm.emotion_profile("alice", as_of=then))["latest_state"] is None


async def test_odd_answers_about_the_state_are_no_sentence(nm: NeuroMemory, model: HttpServer) -> None:
    for state in (None, "null", "", 5, {"valence": 1}, "x" * 5_000, "a\x00b\nc"):
        await feel(nm, "alice", f"Felt {state!r:.20}", 0.1)
        model.always = saying(insight("Feels", ["m1"]), state=state)
        await nm.digest("alice")
    assert (await nm.emotion_profile("alice"))["latest_state"] == "ab c"


async def test_a_memory_counts_once_for_a_topic_and_not_at_all_when_it_is_an_insight(nm: NeuroMemory) -> None:
    await feel(nm, "alice", "Great", 0.5, 0.5, "joy", entities=("Work", "Work", " Work "))
    await feel(nm, "alice", "Loves work", 0.9, memory_type="insight")
    profile = await nm.emotion_profile("alice")
    assert profile["emotion_triggers"]["Work"]["memories"] == 1
    assert profile["valence_avg"] == 0.5
