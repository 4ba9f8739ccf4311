"""The default fusion: normalized scores, weighted and added up, with what conversations add to them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from neuromem.plugin.list_traits import ListTraits
from neuromem.recall.candidate_union import CandidateUnion, places_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from neuromem.domain.recall_result import Candidate, Fused
    from neuromem.recall.candidate_union import Place

STAND_IN = 0.4  # share of a derived memory's score that its message has at the least, and the other way round
SESSION = 0.4  # weight of a session's best places
SESSION_BEST = 4  # of them count, at most
BEST_SHARE = 0.25  # of the session's score that the best place alone is
UNKNOWN_LIST = ListTraits()


class NormalizedFusion:
    """Adds up the retrievers' scores, min-max normalized within each list, with conversation context.

    For a list l with the `ListTraits` of its retriever, and a candidate d:

    1. Score.  s(d) = ``fusion_score``, or ``score`` where that is None. Of a candidate that is not in the list,
       s(d) = m, where m = 0 (``missing_score="zero"``) or the mean of the list ("mean").
    2. Shared.  Where a message and memories derived from it stand at one place, with r = ``shared_weight``:
       s(derived) = max(s(message), a k) + r k,  k = max(0, s(derived));
       s(message) = max(s(message), a b) + r b,  b = the largest k;   a = 0.4.
       s(message) on the right is the one of step 1, or 0 when the message is no candidate. The result on the left is
       the score v of the place.
    3. Neighbors.  s(d) += sum over distances j of n_j * sum over places q that are j turns away of  u(q) * (v(q) - m),
       with n = ``neighbor_weights``, and u(q) = the share of q's words of the question that neither d's place nor a
       nearer one has; 1 where a list does not give its words.
    4. Normalized.  z(d) = 1 - (max s - s(d)) / max(max s - min s, ``smallest_spread``), or 1 where that divides by 0.
       The maximum and minimum go over all candidates when the list has neighbor weights or ``missing_score="mean"``;
       else over its own and those that share with them, and the others have z(d) = 0.
    5. Added up.  f(d) = sum of W z(d) / sum of W over the lists that are not empty, with W = ``weight``, times
       min(1, max(0, max s of step 1)) when the list is ``absolute``.
    6. Session.  score(d) = (f(d) + c B) / (1 + c), with B = 0.75 * the mean of the best four places of d's session +
       0.25 * the best one, a place being as good as its best candidate; c = ``session``. Without a session,
       score(d) = f(d).

    Where the parts come from. 4 and 5: a weighted sum of scores (Fox & Shaw, "Combination of Multiple Searches",
    TREC-2, 1994) after min-max normalization (Lee, "Analyses of Multiple Evidence Combination", SIGIR 1997), which
    keeps what ranks lose (Bruch, Gai & Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", TOIS 2023);
    `benchmarks/README.md` has both beside each other. 2, 3, 6, ``absolute``, ``missing_score``, ``smallest_spread``
    and the numbers: measured, in the ablation of `benchmarks/README.md`. Words of neighbors count once, because a
    word that is repeated proves nothing, while another one of the question completes it; v is taken against m in 3,
    because to have neighbors proves nothing by itself.

    Args:
        retrievers: How the list of each retriever is to be read; one that is missing has the default traits.
        weights: In place of ``weight``, by the name of the retriever.
        context: In place of all ``neighbor_weights``: by the name of the retriever; one that is not named has none.
        session: c of step 6, at least 0.
    """

    def __init__(
        self,
        retrievers: Mapping[str, ListTraits] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        context: Mapping[str, Sequence[float]] | None = None,
        session: float = SESSION,
    ) -> None:
        self._traits = dict(retrievers or {})
        own = {name: traits.weight for name, traits in self._traits.items() if traits.weight is not None}
        self._weights = {**own, **(weights or {})}
        if context is None:
            context = {n: t.neighbor_weights for n, t in self._traits.items() if t.neighbor_weights}
        self._neighbor_weights = dict(context)
        self._session = session

    def fuse(self, ranked: Mapping[str, Sequence[Candidate]]) -> Sequence[Fused]:
        """Return the union of all candidates, best first."""
        union = CandidateUnion(ranked)
        places = places_of(union.candidates, max(map(len, self._neighbor_weights.values()), default=0))
        lists = {name: own for name, own in union.scores.items() if own}
        weights = {name: self._weight(name, own) for name, own in lists.items()}
        total = sum(weights.values()) or 1.0
        fused = [0.0 for _ in union.candidates]
        for name, own in lists.items():
            if weight := weights[name] / total:
                self._add_list(fused, name, weight, own, union.words[name], places)
        if self._session:
            fused = _with_sessions(fused, union.candidates, places, self._session)
        return union.fused(fused)

    def _weight(self, name: str, own: Mapping[int, float]) -> float:
        """Return W of a list, steps 5: what it weighs, and how far it is to be trusted."""
        trust = min(1.0, max(0.0, *own.values())) if self._of(name).absolute else 1.0
        return self._weights.get(name, 1.0) * trust

    def _add_list(
        self,
        fused: list[float],
        name: str,
        weight: float,
        own: Mapping[int, float],
        words: Mapping[int, int],
        places: Sequence[Place],
    ) -> None:
        """Add a list's normalized scores to those of all candidates, steps 1 to 5."""
        traits, numbers = self._of(name), range(len(fused))
        of_all = traits.missing_score == "mean"
        missing = sum(own.values()) / len(own) if of_all else 0.0
        scores = [own.get(number, missing) for number in numbers]
        place_scores = _share(scores, places, traits.shared_weight)
        neighbor_weights = self._neighbor_weights.get(name)
        if neighbor_weights is not None:
            above = [score - missing for score in place_scores]
            _add_neighbors(scores, places, above, words, neighbor_weights)
        normalized: Iterable[int] = numbers
        if neighbor_weights is None and not of_all:
            shared = {n for place in places if place.derived for n in (*place.derived, *place.messages)}
            normalized = own.keys() | shared
        high = max(scores[number] for number in normalized)
        width = max(high - min(scores[number] for number in normalized), traits.smallest_spread)
        for number in normalized:
            fused[number] += weight * (1.0 - (high - scores[number]) / width if width else 1.0)

    def _of(self, name: str) -> ListTraits:
        return self._traits.get(name, UNKNOWN_LIST)


def _share(scores: list[float], places: Sequence[Place], shared_weight: float) -> list[float]:
    """Let messages and what was derived from them share their scores, step 2; return the score of every place."""
    place_scores = []
    for place in places:
        message = scores[place.messages[-1]] if place.messages else 0.0
        if not place.derived:
            place_scores.append(message)
            continue
        best = 0.0
        for number in place.derived:
            known = max(0.0, scores[number])
            best = max(best, known)
            scores[number] = max(message, STAND_IN * known) + shared_weight * known
        if best:
            message = max(message, STAND_IN * best) + shared_weight * best
        for number in place.messages:
            scores[number] = message
        place_scores.append(message)
    return place_scores


def _add_neighbors(
    scores: list[float],
    places: Sequence[Place],
    place_scores: Sequence[float],
    words: Mapping[int, int],
    neighbor_weights: Sequence[float],
) -> None:
    """Add to each place a share of its neighbors' scores, as far as their words are new there, step 3.

    The nearer neighbor comes first, and of two as near the one before: an answer takes up what was asked.
    """
    words_of = _words_of_places(places, words) if words else None
    for number, place in enumerate(places):
        gain = 0.0
        seen = words_of[number] if words_of else 0
        for weight, near in zip(neighbor_weights, place.near, strict=False):  # of one list it may end earlier
            for other in near:
                score = place_scores[other]
                if score and words_of and (its := words_of[other]):
                    new = its & ~seen
                    seen |= new
                    score *= new.bit_count() / its.bit_count()
                gain += weight * score
        if gain:
            for candidate in place.everything:
                scores[candidate] += gain


def _words_of_places(places: Sequence[Place], words: Mapping[int, int]) -> list[int]:
    """Return the bits of the question's words that stand at every place.

    Where the message is known its words count alone: a memory derived from it repeats them, and always names whom it
    is about, which is nothing new to its neighbors.
    """
    found = []
    for place in places:
        here = 0
        for candidate in place.messages or place.everything:
            here |= words.get(candidate, 0)
        found.append(here)
    return found


def _with_sessions(
    scores: Sequence[float], candidates: Sequence[Candidate], places: Sequence[Place], lift: float
) -> list[float]:
    """Return the scores, each lifted by the best places of its session, within [0, 1], step 6."""
    sessions: dict[str, list[float]] = defaultdict(list)
    for place in places:
        here = place.everything
        best_here = scores[here[0]] if len(here) == 1 else max(scores[number] for number in here)
        sessions[place.session].append(best_here)
    best: dict[str | None, float] = {}
    for session, values in sessions.items():
        values.sort(reverse=True)
        mean = sum(values[:SESSION_BEST]) / min(len(values), SESSION_BEST)
        best[session] = (1.0 - BEST_SHARE) * mean + BEST_SHARE * values[0]
    return [
        (score + lift * best.get(candidate.session_id, score)) / (1.0 + lift)
        for score, candidate in zip(scores, candidates, strict=True)
    ]
