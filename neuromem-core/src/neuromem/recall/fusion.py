"""Makes one list of the retrievers' lists."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.domain.recall_result import Fused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuromem.domain.query import Kind
    from neuromem.domain.recall_result import Candidate

# What a turn gains from the evidence of the turns one and two away, per retriever: words of an answer often stand in
# the question before it, while meaning spreads less.
CONTEXT = {"bm25": (0.7, 0.4), "vector": (0.2, 0.1)}
WEIGHTS = {"bm25": 1.0, "vector": 1.75, "graph": 0.3, "conversation": 0.0}
# Whose best evidence, where it is less than 1, says how far the whole list is to be trusted.
ABSOLUTE = frozenset({"bm25", "graph"})
# What has no evidence here is neither near nor far: it is not embedded yet. Elsewhere it was not found.
UNKNOWN = frozenset({"vector"})
# Evidence that lies closer together than this tells little, so its differences are not stretched to the full range.
SPREAD = {"vector": 0.25}
# What a message and what was made of it tell together: the message's own evidence or a part of the other's, whichever
# is more, and a share of the other's on top: less of meaning, in which the two are much alike.
ALONE, BESIDE, BESIDE_MEANT = 0.4, 0.3, 0.15
# What the best of a session give to all of it: three parts the mean of four, one part the best.
SESSION = 0.4
SESSION_BEST = 4


class NormalizedFusion:
    """Adds up the retrievers' evidence, min-max normalized within each list, with conversation context.

    Scores say how sure a retriever is; ranks do not, which is why this finds more than reciprocal rank fusion.
    Before normalizing, a message and the memories made of it share their evidence, and a turn gains from that of its
    neighbors in the session: of words, from those that it does not have itself, since a word said once more proves
    nothing while another one of the question completes it. After adding up, every entry of a session gains from its
    best ones, because what answers a question is often spread over a conversation. A list whose evidence is all equal
    counts as fully sure of each.
    Words count as far as they cover the question: a lone word that happens to match must not outweigh meaning; and
    relations as far as they lead somewhere: one that was told in every session tells nothing of any.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        context: Mapping[str, Sequence[float]] | None = None,
        session: float = SESSION,
    ) -> None:
        self._weights = {**WEIGHTS, **(weights or {})}
        self._context = CONTEXT if context is None else dict(context)
        self._session = session

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        union = _Union(ranked)
        places = _places(union.candidates, max(map(len, self._context.values()), default=0))
        arms = {name: arm for name, arm in union.evidence.items() if arm}
        weights = {name: self._weight(name) * _trust(name, arm) for name, arm in arms.items()}
        total = sum(weights.values()) or 1.0
        numbers = range(len(union.candidates))
        scores = [0.0 for _ in numbers]
        for name, arm in arms.items():
            weight = weights[name] / total
            if not weight:
                continue
            middle = sum(arm.values()) / len(arm) if name in UNKNOWN else 0.0
            evidence = [arm.get(number, middle) for number in numbers]
            told = _told(evidence, places, BESIDE_MEANT if name == "vector" else BESIDE)
            shares = self._context.get(name)
            if shares is not None:
                # Against the middle: to have neighbors tells nothing by itself.
                told = [value - middle for value in told]
                _add_neighbors(evidence, places, told, union.words[name], shares)
            part: Iterable[int] = numbers
            if shares is None and name not in UNKNOWN:
                part = arm.keys() | {n for place in places if place.made for n in (*place.made, *place.said)}
            high = max(evidence[number] for number in part)
            width = max(high - min(evidence[number] for number in part), SPREAD.get(name, 0.0))
            for number in part:
                scores[number] += weight * (1.0 - (high - evidence[number]) / width if width else 1.0)
        if self._session:
            scores = _with_sessions(scores, union.candidates, places, self._session)
        return union.fused(scores)

    def _weight(self, name: str) -> float:
        return self._weights.get(name, 1.0)


class ReciprocalRankFusion:
    """Adds up 1 / (k + rank) over the lists (Cormack, Clarke & Buettcher, SIGIR 2009)."""

    def __init__(self, weights: Mapping[str, float] | None = None, k: int = 60) -> None:
        self._weights = {"conversation": 0.0, **(weights or {})}
        self._k = k

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        union = _Union(ranked)
        total = sum(self._weights.get(name, 1.0) for name, arm in ranked.items() if arm) or 1.0
        return union.fused(
            [
                sum(
                    self._weights.get(name, 1.0) / total * (self._k + 1) / (self._k + rank)
                    for name, rank in ranks.items()
                )
                for ranks in union.ranks
            ]
        )


class _Union:
    """The candidates of all lists, each once and with a number; the first one seen stands for it.

    ``evidence`` is that of each list, by number, and ``words`` are those it comes from, where the list tells; ``ranks``
    count from 1 and leave out what is hidden.
    """

    def __init__(self, ranked: Mapping[str, Sequence[Candidate]]) -> None:
        self.candidates: list[Candidate] = []
        self.evidence: dict[str, dict[int, float]] = {}
        self.words: dict[str, dict[int, int]] = {}
        self.ranks: list[dict[str, int]] = []
        self._relevance: list[float] = []
        numbers: dict[tuple[Kind, str], int] = {}
        for name in sorted(ranked):
            arm = self.evidence[name] = {}
            words = self.words[name] = {}
            rank = 0
            for candidate in ranked[name]:
                number = numbers.setdefault((candidate.kind, candidate.id), len(numbers))
                if number == len(self.candidates):
                    self.candidates.append(candidate)
                    self.ranks.append({})
                    self._relevance.append(0.0)
                if number not in arm:
                    arm[number] = candidate.score if candidate.evidence is None else candidate.evidence
                    if candidate.words:
                        words[number] = candidate.words
                if not candidate.hidden:
                    if name not in self.ranks[number]:
                        rank += 1
                        self.ranks[number][name] = rank
                    if candidate.relevance and candidate.relevance > self._relevance[number]:
                        self._relevance[number] = candidate.relevance

    def fused(self, scores: Sequence[float]) -> list[Fused]:
        """Return what some list shows, best first."""
        fused = [
            Fused(candidate.id, candidate.kind, score, relevance, ranks)
            for candidate, score, relevance, ranks in zip(
                self.candidates, scores, self._relevance, self.ranks, strict=True
            )
            if ranks
        ]
        fused.sort(key=_best_first)
        return fused


@dataclass(slots=True)  # not frozen: made by the hundred
class _Place:
    """The numbers of what was said in one place of a conversation, and of what was made of it.

    ``near`` are the numbers of the places before and after it, one list per distance.
    """

    session: str
    said: list[int]
    made: list[int]
    everything: list[int]
    near: list[list[int]]


def _trust(name: str, evidence: Mapping[int, float]) -> float:
    return min(1.0, max(0.0, *evidence.values())) if name in ABSOLUTE else 1.0


def _best_first(item: Fused) -> tuple[float, str]:
    return -item.score, item.id


def _places(candidates: Sequence[Candidate], reach: int) -> list[_Place]:
    """Return the places in conversations that candidates stand at, with their neighbors so many turns away."""
    places: list[_Place] = []
    sessions: dict[str, dict[int, int]] = {}
    for number, candidate in enumerate(candidates):
        if candidate.session_id is not None and candidate.position is not None:
            session = sessions.setdefault(candidate.session_id, {})
            at = session.setdefault(candidate.position, len(places))
            if at == len(places):
                places.append(_Place(candidate.session_id, [], [], [], []))
            place = places[at]
            place.everything.append(number)
            if candidate.kind == "message":
                place.said.append(number)
            elif candidate.kind == "memory":
                place.made.append(number)
    for session in sessions.values():
        for position, at in session.items():
            for distance in range(1, reach + 1):
                sides = (session.get(position - distance), session.get(position + distance))
                places[at].near.append([side for side in sides if side is not None])
    return places


def _told(evidence: list[float], places: Sequence[_Place], beside: float) -> list[float]:
    """Return the evidence of every place; a message and what was made of it get their share of each other's."""
    told = []
    for place in places:
        said = evidence[place.said[-1]] if place.said else 0.0
        if not place.made:
            told.append(said)
            continue
        best = 0.0
        for number in place.made:
            known = max(0.0, evidence[number])
            best = max(best, known)
            evidence[number] = max(said, ALONE * known) + beside * known
        if best:
            said = max(said, ALONE * best) + beside * best
        for number in place.said:
            evidence[number] = said
        told.append(said)
    return told


def _add_neighbors(
    evidence: list[float],
    places: Sequence[_Place],
    told: Sequence[float],
    words: Mapping[int, int],
    shares: Sequence[float],
) -> None:
    """Add to the evidence of what stands in a conversation a share of its neighbors', of words that are new here.

    The nearer neighbor tells first, and of two as near the one before: an answer takes up what was asked.
    """
    spoken = _spoken(places, words) if words else None
    for number, place in enumerate(places):
        gain = 0.0
        heard = spoken[number] if spoken else 0
        for share, near in zip(shares, place.near, strict=False):  # of one arm it may end earlier
            for other in near:
                value = told[other]
                if value and spoken and (said := spoken[other]):
                    new = said & ~heard
                    heard |= new
                    value *= new.bit_count() / said.bit_count()
                gain += share * value
        if gain:
            for candidate in place.everything:
                evidence[candidate] += gain


def _spoken(places: Sequence[_Place], words: Mapping[int, int]) -> list[int]:
    """Return which words of the question were said at every place.

    What was made of a message says its words again, and always who it is about: that is no news to its neighbors.
    """
    spoken = []
    for place in places:
        here = 0
        for candidate in place.said or place.everything:
            here |= words.get(candidate, 0)
        spoken.append(here)
    return spoken


def _with_sessions(
    scores: Sequence[float], candidates: Sequence[Candidate], places: Sequence[_Place], lift: float
) -> list[float]:
    """Return the scores, each lifted by the best places of its session, within [0, 1]."""
    sessions: dict[str, list[float]] = defaultdict(list)
    for place in places:
        here = place.everything
        best_here = scores[here[0]] if len(here) == 1 else max(scores[number] for number in here)
        sessions[place.session].append(best_here)
    best: dict[str | None, float] = {}
    for session, values in sessions.items():
        values.sort(reverse=True)
        mean = sum(values[:SESSION_BEST]) / min(len(values), SESSION_BEST)
        best[session] = 0.75 * mean + 0.25 * values[0]
    return [
        (score + lift * best.get(candidate.session_id, score)) / (1.0 + lift)
        for score, candidate in zip(scores, candidates, strict=True)
    ]
