"""How much of the evidence a ranked list holds.

A result covers a set of evidence ids: a turn covers itself, a fact the turns it was taken from. Where several
sets of evidence suffice, the best one counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from benchmarks.support.datasets import NOT_IN_ALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CUTS = (1, 5, 10, 20, 50)


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one question, or the mean over many: evidence recall@k, any@k, reciprocal rank, NDCG@10."""

    recall: Mapping[int, float]
    any: Mapping[int, float]
    mrr: float
    ndcg10: float


def judge(ranked: Sequence[frozenset[str]], sufficient: Iterable[frozenset[str]]) -> Quality:
    """Judge one list by the evidence sets of its question."""
    sets = list(sufficient)
    accepted = frozenset().union(*sets)
    first = next((i for i, covers in enumerate(ranked, start=1) if covers & accepted), None)
    return Quality(
        recall={k: max(_recall(ranked[:k], evidence) for evidence in sets) for k in CUTS},
        any={k: float(first is not None and first <= k) for k in CUTS},
        mrr=1 / first if first else 0.0,
        ndcg10=max(_ndcg(ranked[:10], evidence) for evidence in sets),
    )


def mean(qualities: Sequence[Quality]) -> Quality:
    """Return the mean over questions."""
    return Quality(
        recall={k: fmean(q.recall[k] for q in qualities) for k in CUTS},
        any={k: fmean(q.any[k] for q in qualities) for k in CUTS},
        mrr=fmean(q.mrr for q in qualities),
        ndcg10=fmean(q.ndcg10 for q in qualities),
    )


def by_category(judged: Sequence[tuple[str, Quality]]) -> dict[str, tuple[int, Quality]]:
    """Return the number of questions and their mean per category, and over ``all`` that count."""
    groups: dict[str, list[Quality]] = {}
    for category, quality in judged:
        groups.setdefault(category, []).append(quality)
        if category not in NOT_IN_ALL:
            groups.setdefault("all", []).append(quality)
    names = sorted(groups, key=lambda name: (name in NOT_IN_ALL, name == "all", name))
    return {name: (len(groups[name]), mean(groups[name])) for name in names}


def _recall(ranked: Sequence[frozenset[str]], evidence: frozenset[str]) -> float:
    return len(evidence & frozenset().union(*ranked)) / len(evidence)


def _ndcg(ranked: Sequence[frozenset[str]], evidence: frozenset[str]) -> float:
    """A result gains 1 when it covers evidence that nothing before it covered."""
    seen: frozenset[str] = frozenset()
    gained = 0.0
    for i, covers in enumerate(ranked):
        if (covers & evidence) - seen:
            gained += 1 / math.log2(i + 2)
            seen |= covers
    return gained / sum(1 / math.log2(i + 2) for i in range(min(10, len(evidence))))
