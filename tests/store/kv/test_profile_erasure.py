"""What is left of a profile when what one session did to it is taken out of its past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from neuromem.ingest.extraction.profile_changes import merge_profile
from neuromem.store.kv.profile_erasure import ProfileVersion, comparable_items, versions_without

START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("tea", "coffee", "gin", "jam")
words = st.lists(st.sampled_from(WORDS), max_size=2, unique=True)
lists = st.tuples(st.sampled_from("AB"), words, words)
texts = st.tuples(st.sampled_from("AB"), st.one_of(st.none(), st.sampled_from(WORDS)), st.booleans())


def play(key: str, steps: list[tuple[datetime, Any, list[str]]]) -> list[ProfileVersion]:
    """The versions of a key when each step, at its moment, says something and takes back what stands there."""
    versions: list[ProfileVersion] = []
    for moment, said, taken in steps:
        held = versions[-1] if versions and versions[-1].ends is None else None
        old = {key: held.value} if held else {}
        there = [] if held is None else held.value if isinstance(held.value, list) else [held.value]
        gone = [word for word in taken if word in there]  # nobody can take back what does not stand there
        told = {key: said} if said else {}
        changed = merge_profile(old, told, {key: gone} if gone else {})
        if key in changed:
            if held is not None:
                held.ends = moment
            if changed[key] is not None:
                versions.append(ProfileVersion(changed[key], moment, None))
    return versions


def said_alone(steps: list[tuple[str, Any]]) -> set[bytes]:
    """What only session A said."""
    told: dict[str, set[bytes]] = {"A": set(), "B": set()}
    for session, said in steps:
        told[session].update(comparable_items(said) if said else [])
    return told["A"] - told["B"]


def now(versions: list[ProfileVersion]) -> Any:
    """What stands there in the end."""
    return versions[-1].value if versions and versions[-1].ends is None else None


def sound(versions: list[ProfileVersion]) -> bool:
    """Whether versions follow one another, none empty, only the last one open."""
    return all(one.value for one in versions) and all(
        one.ends is not None and one.ends <= other.begins for one, other in pairwise(versions)
    )


@given(st.lists(lists, max_size=8))
def test_a_list_is_as_if_the_session_had_never_been(steps: list[tuple[str, list[str], list[str]]]) -> None:
    """What others said and never took back is there; unless they once took all that was left, which stays an end."""
    moments = [START + timedelta(hours=i) for i in range(len(steps))]
    at = {moment for moment, (session, _, _) in zip(moments, steps, strict=True) if session == "A"}
    whole = play("interests", [(m, said, taken) for m, (_, said, taken) in zip(moments, steps, strict=True)])
    doomed = said_alone([(session, said) for session, said, _ in steps])
    left = versions_without(whole, doomed, at)
    assert sound(left)
    assert not any(doomed.intersection(comparable_items(one.value)) for one in left)
    if not any(session == "A" for session, _, _ in steps):
        assert left == whole
    spoken = {word for session, said, _ in steps if session == "B" for word in said}
    taken = {word for session, _, words in steps if session == "B" for word in words}
    held = set(now(left) or ())
    assert held <= spoken
    begins = {one.begins for one in whole}
    if all(one.ends in {None, *begins, *at} for one in whole):
        assert spoken - taken <= held  # whatever A took back


@given(st.lists(texts, max_size=8))
def test_a_text_is_as_if_the_session_had_never_been(steps: list[tuple[str, str | None, bool]]) -> None:
    moments = [START + timedelta(hours=i) for i in range(len(steps))]
    at = {moment for moment, (session, _, _) in zip(moments, steps, strict=True) if session == "A"}
    taking = [
        (m, said, list(WORDS) if takes and said is None else [])
        for m, (_, said, takes) in zip(moments, steps, strict=True)
    ]
    left = versions_without(
        play("occupation", taking), said_alone([(session, said) for session, said, _ in steps]), at
    )
    assert sound(left)
    only = [step for step, (session, _, _) in zip(taking, steps, strict=True) if session == "B"]
    if all(said is not None for _, said, _ in only) and len({said for _, said, _ in taking}) == len(steps):
        assert now(left) == now(play("occupation", only))


def test_what_was_taken_away_altogether_stands_there_again() -> None:
    moment = [START + timedelta(hours=i) for i in range(4)]
    nurse = ProfileVersion("nurse", moment[0], moment[1])
    assert versions_without([nurse], set(), {moment[1]}) == [ProfileVersion("nurse", moment[0], None)]
    baker = ProfileVersion("baker", moment[2], None)
    assert versions_without([nurse, baker], set(), {moment[1]}) == [
        ProfileVersion("nurse", moment[0], moment[2]),
        baker,
    ]
    by_hand = ProfileVersion(["tea"], moment[2], None, by_user=True)
    likes = [
        ProfileVersion(["gin"], moment[0], moment[1]),
        ProfileVersion(["gin", "tea"], moment[1], moment[2]),
        by_hand,
    ]
    assert versions_without(likes, set(comparable_items(["tea"])), {moment[1]})[-1] == by_hand
