"""Fusion: bounded, without NaN, independent of order, and a neighbor or a session can only lift."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from neuromem import builtin
from neuromem.domain.recall_result import Candidate
from neuromem.recall.fusion import NormalizedFusion
from neuromem.recall.rank_fusion import ReciprocalRankFusion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.query import Kind

RETRIEVERS = {spec.name: spec for spec in builtin.neuromem_retrievers()}


def normalized(**options: Any) -> NormalizedFusion:
    """The default fusion over the core's own retrievers."""
    return NormalizedFusion(RETRIEVERS, **options)


scores = st.floats(-1e6, 1e6, allow_nan=False)
sessions = st.one_of(st.none(), st.sampled_from(["s1", "s2"]))
candidates = st.builds(
    Candidate,
    id=st.sampled_from([f"id{i}" for i in range(12)]),
    kind=st.sampled_from(["message", "memory"]),
    score=scores,
    relevance=st.one_of(st.none(), st.floats(0, 1)),
    fusion_score=st.one_of(st.none(), scores),
    session_id=sessions,
    position=st.one_of(st.none(), st.integers(0, 9)),
    suppressed=st.booleans(),
    words=st.one_of(st.none(), st.integers(0, 7)),
)
arms = st.dictionaries(
    st.sampled_from(["bm25", "vector", "conversation", "acme"]), st.lists(candidates, max_size=15), max_size=4
)


@given(arms)
def test_every_candidate_comes_out_once_with_a_score_in_bounds(
    ranked: Mapping[str, Sequence[Candidate]],
) -> None:
    for fusion in (normalized(), ReciprocalRankFusion(RETRIEVERS)):
        fused = fusion.fuse(ranked)
        keys = [(item.kind, item.id) for item in fused]
        assert len(keys) == len(set(keys))
        assert set(keys) == {(c.kind, c.id) for arm in ranked.values() for c in arm if not c.suppressed}
        for item in fused:
            assert math.isfinite(item.score)
            assert -1e-9 <= item.score <= 1 + 1e-9
            assert 0 <= item.relevance <= 1
        assert [item.score for item in fused] == sorted((item.score for item in fused), reverse=True)


@given(arms)
def test_the_order_of_the_arms_does_not_matter(ranked: dict[str, Sequence[Candidate]]) -> None:
    backwards = dict(reversed(ranked.items()))
    assert normalized().fuse(ranked) == normalized().fuse(backwards)


def ids(fused: Sequence[object]) -> list[str]:
    return [item.id for item in fused]  # type: ignore[attr-defined]


def test_one_candidate_is_fully_sure() -> None:
    (item,) = normalized().fuse({"bm25": [Candidate("a", "memory", 0.3)]})
    assert item.score == 1.0


def test_what_matches_by_keyword_alone_can_come_first() -> None:
    fused = normalized().fuse(
        {
            "bm25": [Candidate("keyword", "memory", 9.0), Candidate("a", "memory", 0.5)],
            "vector": [Candidate("a", "memory", 0.31), Candidate("b", "memory", 0.30)],
        }
    )
    assert ids(fused)[0] in {"keyword", "a"}
    only = normalized(weights={"vector": 0.5}).fuse(
        {
            "bm25": [Candidate("keyword", "memory", 9.0), Candidate("a", "memory", 0.5)],
            "vector": [Candidate("b", "memory", 0.31), Candidate("a", "memory", 0.30)],
        }
    )
    assert ids(only)[0] == "keyword"


def test_a_turn_is_supported_by_its_neighbors() -> None:
    def turn(name: str, score: float, session: str, position: int) -> Candidate:
        return Candidate(name, "message", score, session_id=session, position=position)

    fused = normalized(session=0.0).fuse(
        {"bm25": [turn("question", 5.0, "s", 1), turn("answer", 1.0, "s", 2), turn("stray", 1.2, "t", 7)]}
    )
    assert ids(fused) == ["question", "answer", "stray"]


def test_a_neighbor_adds_the_words_that_a_turn_does_not_have() -> None:
    """Two turns that say one word of the question are less than two that say two words of it between them."""

    def turn(name: str, position: int, words: int) -> Candidate:
        return Candidate(name, "message", 1.0, session_id="s", position=position, words=words)

    echo = [turn("echo", 10, 0b01), turn("echoed", 11, 0b01), turn("echoed again", 12, 0b01)]
    complete = [turn("answer", 20, 0b01), turn("completed by", 21, 0b10)]
    found = ids(normalized(session=0.0).fuse({"bm25": [*echo, *complete]}))
    assert set(found[:2]) == {"answer", "completed by"}
    alone = normalized(session=0.0).fuse({"bm25": [*echo, turn("alone", 30, 0b01)]})
    assert len({item.score for item in alone}) == 1


def test_what_a_fact_says_again_is_no_news_to_the_turns_around() -> None:
    def at(name: str, kind: Kind, session: str, position: int, words: int) -> Candidate:
        return Candidate(name, kind, 1.0, session_id=session, position=position, words=words)

    turns = [
        at("with", "message", "s", 1, 1),
        at("next", "message", "s", 2, 1),
        at("without", "message", "t", 1, 1),
        at("mate", "message", "t", 2, 1),
    ]
    fact = at("fact", "memory", "s", 2, 3)  # it names somebody
    scores = {item.id: item.score for item in normalized(session=0.0).fuse({"bm25": [*turns, fact]})}
    assert scores["with"] == scores["without"] < scores["next"]


def test_an_entry_gains_from_the_best_of_its_session() -> None:
    def turn(name: str, score: float, session: str, position: int) -> Candidate:
        return Candidate(name, "message", score, session_id=session, position=position)

    fused = normalized().fuse(
        {"acme": [turn("best", 5.0, "s", 1), turn("mate", 1.0, "s", 50), turn("stray", 1.2, "t", 7)]}
    )
    assert ids(fused) == ["best", "mate", "stray"]


def test_a_message_and_what_was_made_of_it_tell_each_other() -> None:
    def at(name: str, kind: Kind, score: float, position: int, *, suppressed: bool = False) -> Candidate:
        return Candidate(name, kind, score, session_id="s", position=position, suppressed=suppressed)

    fusion = normalized(context={}, session=0.0)
    both = [at("said", "message", 3.0, 1), at("fact", "memory", 4.0, 1), at("other", "message", 3.5, 9)]
    assert ids(fusion.fuse({"bm25": both}))[-1] == "other"
    apart = [at("said", "message", 3.0, 1), at("fact", "memory", 4.0, 5), at("other", "message", 3.5, 9)]
    assert ids(fusion.fuse({"bm25": apart}))[0] == "other"
    instead = [
        at("said", "message", 3.0, 1, suppressed=True),
        at("near", "memory", 0.5, 1),
        at("far", "memory", 0.1, 1),
        at("loose", "memory", 2.0, 7),
    ]
    assert ids(fusion.fuse({"bm25": instead})) == ["near", "far", "loose"]


def test_a_word_that_covers_little_of_a_question_does_not_outweigh_meaning() -> None:
    near = [
        Candidate("meant", "memory", 0.6),
        Candidate("word", "memory", 0.35),
        Candidate("far", "memory", 0.1),
    ]
    fusion = normalized(weights={"vector": 1.0})
    for trust, first in ((1.0, "word"), (0.2, "meant")):
        words = [
            Candidate("word", "memory", 4.0, fusion_score=trust),
            Candidate("far", "memory", 0.1, fusion_score=0.0),
        ]
        assert ids(fusion.fuse({"bm25": words, "vector": near}))[0] == first


def test_a_relation_that_was_told_everywhere_changes_no_order() -> None:
    words = [
        Candidate("meant", "memory", 5.0, fusion_score=1.0),
        Candidate("other", "memory", 4.8, fusion_score=0.96),
        Candidate("far", "memory", 0.1, fusion_score=0.0),
    ]
    for told, first in ((1, "other"), (20, "meant")):
        led_to = [Candidate("other", "memory", 1 / told), Candidate("far", "memory", 1 / told)]
        assert ids(normalized().fuse({"bm25": words, "graph": led_to}))[0] == first


def test_what_is_not_embedded_yet_is_found_by_its_words_in_a_short_chat() -> None:
    """A handful of turns are all about as near to a question; that must not drown the one that names its word."""

    def turn(name: str, position: int, score: float, fusion_score: float) -> Candidate:
        return Candidate(name, "message", score, session_id="s", position=position, fusion_score=fusion_score)

    embedded = [turn("b", 2, 0.75, 0.64), turn("c", 3, 0.73, 0.60), turn("a", 1, 0.71, 0.57)]
    fused = normalized().fuse({"bm25": [turn("new", 4, 0.76, 0.49)], "vector": embedded})
    assert ids(fused)[0] == "new"


def test_a_turn_gains_nothing_by_merely_having_neighbors() -> None:
    def turn(name: str, position: int, score: float) -> Candidate:
        return Candidate(name, "message", score, session_id="s", position=position)

    arm = [turn("last", 9, 0.62), turn("amid", 8, 0.60), turn("before", 7, 0.58), turn("first", 6, 0.56)]
    assert ids(normalized(session=0.0).fuse({"vector": arm}))[0] == "last"


def test_documents_and_facts_without_sessions_keep_their_order() -> None:
    arm = [Candidate(f"d{i}", "memory", 10.0 - i) for i in range(10)]
    assert ids(normalized().fuse({"bm25": arm})) == [c.id for c in arm]


def test_settings_may_let_neighbors_reach_nearer_or_farther() -> None:
    def gains(*shares: float) -> list[str]:
        said = [Candidate("found", "message", 1.0, session_id="s", position=0)]
        around = [Candidate(f"{n} away", "message", 0.0, session_id="s", position=n) for n in (1, 2, 3)]
        around.append(Candidate("elsewhere", "message", 0.0, session_id="t", position=1))
        fusion = normalized(context={"bm25": shares, "vector": (0.2,)}, session=0.0)
        fused = fusion.fuse({"bm25": said, "conversation": around})
        return [item.id for item in fused if item.score > 0]

    assert gains() == ["found"]
    assert gains(0.4) == ["found", "1 away"]
    assert gains(0.4, 0.3, 0.2) == ["found", "1 away", "2 away", "3 away"]
