"""The candidates of all ranked lists, each once, and their places in conversations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.domain.recall_result import Fused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from neuromem.domain.query import Kind
    from neuromem.domain.recall_result import Candidate


class CandidateUnion:
    """The candidates of all lists, each once and with a number.

    Attributes:
        candidates: By number; the first candidate seen stands for its entry.
        scores: Per list what each candidate, by number, gives to the fusion: ``fusion_score``, else ``score``.
        words: Per list the bits of the question's words that the score comes from, where the retriever gives them.
        ranks: By number the ranks per list, from 1; suppressed candidates have none and are not counted.
    """

    def __init__(self, ranked: Mapping[str, Sequence[Candidate]]) -> None:
        self.candidates: list[Candidate] = []
        self.scores: dict[str, dict[int, float]] = {}
        self.words: dict[str, dict[int, int]] = {}
        self.ranks: list[dict[str, int]] = []
        self._relevance: list[float] = []
        numbers: dict[tuple[Kind, str], int] = {}
        for name in sorted(ranked):
            scores = self.scores[name] = {}
            words = self.words[name] = {}
            rank = 0
            for candidate in ranked[name]:
                number = numbers.setdefault((candidate.kind, candidate.id), len(numbers))
                if number == len(self.candidates):
                    self.candidates.append(candidate)
                    self.ranks.append({})
                    self._relevance.append(0.0)
                if number not in scores:
                    scores[number] = (
                        candidate.score if candidate.fusion_score is None else candidate.fusion_score
                    )
                    if candidate.words:
                        words[number] = candidate.words
                if not candidate.suppressed:
                    if name not in self.ranks[number]:
                        rank += 1
                        self.ranks[number][name] = rank
                    if candidate.relevance and candidate.relevance > self._relevance[number]:
                        self._relevance[number] = candidate.relevance

    def fused(self, scores: Sequence[float]) -> list[Fused]:
        """Return every candidate that is not suppressed in all lists, with these scores by number, best first."""
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
class Place:
    """A turn of a conversation: the numbers of the candidates that stand there.

    Attributes:
        session: Its session.
        messages: The message said there, if it is a candidate.
        derived: The memories extracted from it.
        everything: Both, and whatever else stands there.
        near: Per distance from 1 on, the indexes of the places so many turns before and after.
    """

    session: str
    messages: list[int]
    derived: list[int]
    everything: list[int]
    near: list[list[int]]


def places_of(candidates: Sequence[Candidate], reach: int) -> list[Place]:
    """Return the places at which candidates stand, each with its neighbors up to ``reach`` turns away."""
    places: list[Place] = []
    sessions: dict[str, dict[int, int]] = {}
    for number, candidate in enumerate(candidates):
        if candidate.session_id is not None and candidate.position is not None:
            session = sessions.setdefault(candidate.session_id, {})
            at = session.setdefault(candidate.position, len(places))
            if at == len(places):
                places.append(Place(candidate.session_id, [], [], [], []))
            place = places[at]
            place.everything.append(number)
            if candidate.kind == "message":
                place.messages.append(number)
            elif candidate.kind == "memory":
                place.derived.append(number)
    for session in sessions.values():
        for position, at in session.items():
            for distance in range(1, reach + 1):
                sides = (session.get(position - distance), session.get(position + distance))
                places[at].near.append([side for side in sides if side is not None])
    return places


def _best_first(item: Fused) -> tuple[float, str]:
    return -item.score, item.id
