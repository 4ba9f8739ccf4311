"""Makes one list of the retrievers' lists."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from neuromem.domain.recall import Fused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.recall import Candidate, Kind

    Key = tuple[Kind, str]
    Place = tuple[str, int]  # session and position

# What a turn gains from the evidence of the turns one and two away, per retriever: words of an answer often stand in
# the question before it, while meaning spreads less.
CONTEXT = {"bm25": (0.4, 0.2), "vector": (0.2, 0.1)}
WEIGHTS = {"bm25": 1.0, "vector": 1.75, "graph": 0.3, "conversation": 0.0}
# Whose best evidence, where it is less than 1, says how far the whole list is to be trusted.
ABSOLUTE = frozenset({"bm25"})
# What has no evidence here is neither near nor far: it is not embedded yet. Elsewhere it was not found.
UNKNOWN = frozenset({"vector"})
# Evidence that lies closer together than this tells little, so its differences are not stretched to the full range.
SPREAD = {"vector": 0.25}
# What a message and what was made of it tell together: the message's own evidence or a part of the other's, whichever
# is more, and a share of the other's on top: less of meaning, in which the two are much alike.
ALONE, BESIDE, BESIDE_MEANT = 0.5, 0.3, 0.15
# What the best of a session give to all of it: three parts the mean of three, one part the best.
SESSION = 0.4
SESSION_BEST = 3


class NormalizedFusion:
    """Adds up the retrievers' evidence, min-max normalized within each list, with conversation context.

    Scores say how sure a retriever is; ranks do not, which is why this finds more than reciprocal rank fusion.
    Before normalizing, a message and the memories made of it share their evidence, and a turn gains from that of its
    neighbors in the session; after adding up, every entry of a session gains from its best ones, because what answers
    a question is often spread over a conversation. A list whose evidence is all equal counts as fully sure of each.
    Words count as far as they cover the question: a lone word that happens to match must not outweigh meaning.
    """

    def __init__(
        self, weights: Mapping[str, float] | None = None,
        context: Mapping[str, tuple[float, float]] | None = None, session: float = SESSION,
    ) -> None:  # fmt: skip
        self._weights = {**WEIGHTS, **(weights or {})}
        self._context = CONTEXT if context is None else dict(context)
        self._session = session

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        everything = _by_key(ranked)
        places = _places(everything)
        arms = {name: _evidence(ranked[name]) for name in sorted(ranked) if ranked[name]}
        weights = {name: self._weight(name) * _trust(name, evidence) for name, evidence in arms.items()}
        total = sum(weights.values()) or 1.0
        scores = dict.fromkeys(everything, 0.0)
        for name, evidence in arms.items():
            weight = weights[name] / total
            if not weight:
                continue
            middle = 0.0
            if name in UNKNOWN:
                middle = sum(evidence.values()) / len(evidence)
                evidence = {key: evidence.get(key, middle) for key in everything}
            told = _told(evidence, places, BESIDE_MEANT if name == "vector" else BESIDE)
            if name in self._context:
                # Against the middle: to have neighbors tells nothing by itself.
                told = {place: value - middle for place, value in told.items()}
                evidence = _with_neighbors(evidence, everything, places, told, self._context[name])
            for key, value in _normalized(evidence, SPREAD.get(name, 0.0)).items():
                scores[key] += weight * value
        if self._session:
            scores = _with_sessions(scores, everything, places, self._session)
        return _fused(ranked, scores)

    def _weight(self, name: str) -> float:
        return self._weights.get(name, 1.0)


class ReciprocalRankFusion:
    """Adds up 1 / (k + rank) over the lists (Cormack, Clarke & Buettcher, SIGIR 2009)."""

    def __init__(self, weights: Mapping[str, float] | None = None, k: int = 60) -> None:
        self._weights = {"conversation": 0.0, **(weights or {})}
        self._k = k

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        scores: dict[Key, float] = defaultdict(float)
        total = sum(self._weights.get(name, 1.0) for name, arm in ranked.items() if arm) or 1.0
        for name in sorted(ranked):
            visible = [candidate for candidate in ranked[name] if not candidate.hidden]
            for rank, key in enumerate(_by_key({name: visible}), start=1):
                scores[key] += self._weights.get(name, 1.0) / total * (self._k + 1) / (self._k + rank)
        return _fused(ranked, scores)


def _by_key(ranked: Mapping[str, Sequence[Candidate]]) -> dict[Key, Candidate]:
    """Return every candidate once; the first one seen stands for it."""
    found: dict[Key, Candidate] = {}
    for name in sorted(ranked):
        for candidate in ranked[name]:
            found.setdefault((candidate.kind, candidate.id), candidate)
    return found


def _evidence(arm: Sequence[Candidate]) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for candidate in arm:
        evidence = candidate.score if candidate.evidence is None else candidate.evidence
        found.setdefault((candidate.kind, candidate.id), evidence)
    return found


def _trust(name: str, evidence: Mapping[Key, float]) -> float:
    return min(1.0, max(0.0, *evidence.values())) if name in ABSOLUTE else 1.0


def _places(everything: Mapping[Key, Candidate]) -> dict[Place, list[Key]]:
    """Return what was said, and what was made of it, by its place in the conversation."""
    places: dict[Place, list[Key]] = {}
    for key, candidate in everything.items():
        if candidate.session_id is not None and candidate.position is not None:
            places.setdefault((candidate.session_id, candidate.position), []).append(key)
    return places


def _told(
    evidence: dict[Key, float], places: Mapping[Place, Sequence[Key]], beside: float
) -> dict[Place, float]:
    """Return the evidence of every place; a message and what was made of it get their share of each other's."""
    told: dict[Place, float] = {}
    for place, keys in places.items():
        if len(keys) == 1 and keys[0][0] == "message":
            told[place] = evidence.get(keys[0], 0.0)
            continue
        said = 0.0
        best = 0.0
        for key in keys:
            if key[0] == "message":
                said = evidence.get(key, 0.0)
        for key in keys:
            if key[0] == "memory":
                known = max(0.0, evidence.get(key, 0.0))
                best = max(best, known)
                evidence[key] = max(said, ALONE * known) + beside * known
        told[place] = max(said, ALONE * best) + beside * best if best else said
        for key in keys:
            if key[0] == "message":
                evidence[key] = told[place]
    return told


def _with_neighbors(
    evidence: Mapping[Key, float],
    everything: Mapping[Key, Candidate],
    places: Mapping[Place, Sequence[Key]],
    told: Mapping[Place, float],
    shares: Sequence[float],
) -> dict[Key, float]:
    """Return the evidence of every candidate with what its neighbors in the session add."""
    supported = {key: evidence.get(key, 0.0) for key in everything}
    for (session, position), value in told.items():
        if value:
            for distance, share in enumerate(shares, start=1):
                for place in ((session, position - distance), (session, position + distance)):
                    for key in places.get(place, ()):
                        supported[key] += share * value
    return supported


def _with_sessions(
    scores: Mapping[Key, float],
    everything: Mapping[Key, Candidate],
    places: Mapping[Place, Sequence[Key]],
    lift: float,
) -> dict[Key, float]:
    """Return the scores, each lifted by the mean of the best places of its session, within [0, 1]."""
    sessions: dict[str, list[float]] = defaultdict(list)
    for (session, _), keys in places.items():
        sessions[session].append(scores[keys[0]] if len(keys) == 1 else max(scores[key] for key in keys))
    best = {}
    for session, values in sessions.items():
        values.sort(reverse=True)
        mean = sum(values[:SESSION_BEST]) / min(len(values), SESSION_BEST)
        best[session] = 0.75 * mean + 0.25 * values[0]
    lifted = {}
    for key, candidate in everything.items():
        own = best.get(candidate.session_id, scores[key]) if candidate.session_id else scores[key]
        lifted[key] = (scores[key] + lift * own) / (1.0 + lift)
    return lifted


def _normalized(values: Mapping[Key, float], spread: float) -> dict[Key, float]:
    """Return the values as parts of their range, or of ``spread`` where that is more; the best is 1."""
    high = max(values.values())
    width = max(high - min(values.values()), spread)
    return {key: 1.0 - (high - value) / width if width else 1.0 for key, value in values.items()}


def _fused(ranked: Mapping[str, Sequence[Candidate]], scores: Mapping[Key, float]) -> list[Fused]:
    relevance: dict[Key, float] = defaultdict(float)
    ranks: dict[Key, dict[str, int]] = defaultdict(dict)
    for name in sorted(ranked):
        visible = (candidate for candidate in ranked[name] if not candidate.hidden)
        for rank, candidate in enumerate(visible, start=1):
            key = (candidate.kind, candidate.id)
            ranks[key].setdefault(name, rank)
            relevance[key] = max(relevance[key], candidate.relevance or 0.0)
    fused = [
        Fused(id=key[1], kind=key[0], score=scores[key], relevance=relevance[key], ranks=ranks[key])
        for key in ranks
    ]
    fused.sort(key=lambda item: (-item.score, item.id))
    return fused
