"""Reconciles new insights with known ones: which are added, supported, refined or contradicted.

An insight repeats another when both state the same by their words (`domain.text.same_statement`), or when the model
said so about that very pair. Similarity of vectors decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.memories import Added
from neuromem.domain.memory_types import INSIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuromem.domain.memories import NewMemory, Version
    from neuromem.store.memories.digest_queue import Evidence

REFINED = "refined"
EVIDENCE_WEIGHT = 0.35
"""The weight of one memory of confidence 1 as evidence for or against an insight."""
MIN_CONFIDENCE = 0.1
"""Evidence of less confidence weighs as if it had this."""


@dataclass(frozen=True, slots=True)
class NewInsight:
    """An insight that a model wrote.

    Attributes:
        new: The insight; None when it only reinforces or contradicts a known one.
        digest: Its `statement_hash`.
        evidence: The memories that it rests on.
        relation_to_known: Whether it reinforces, refines or contradicts ``target``.
        target: Id of a known insight that the model was shown, or None.
    """

    new: NewMemory | None
    digest: bytes
    evidence: Sequence[Evidence]
    relation_to_known: str | None = None
    target: str | None = None


@dataclass(slots=True)
class ReconciledInsights:
    """What is to be stored: versions added and superseded, and by insight the evidence for and against it."""

    added: list[Added] = field(default_factory=list)
    superseded: list[tuple[Version, str]] = field(default_factory=list)
    supported: dict[str, list[Evidence]] = field(default_factory=dict)
    contradicted: dict[str, list[Evidence]] = field(default_factory=dict)

    def evidence_rows(self) -> list[tuple[str, str, int, bool, float, str]]:
        """Return the evidence as it is stored: insight, memory, version, whether against, weight, source."""
        return [
            (insight, one.memory_id, one.version, against, _weight(one), one.source)
            for against, by_insight in ((False, self.supported), (True, self.contradicted))
            for insight, evidence in by_insight.items()
            for one in {one.memory_id: one for one in evidence}.values()
        ]


def reconcile_insights(insights: Iterable[NewInsight], versions: Iterable[Version]) -> ReconciledInsights:
    """Return what new insights add to, end, support and contradict among the known ones.

    Args:
        insights: The new insights, in the order in which the model wrote them.
        versions: All versions of the known insights that they may concern (`store.memories.write.version_chains`).
    """
    chains: dict[str, list[Version]] = {}
    for version in sorted(versions, key=lambda v: (v.memory_id, v.version)):
        if version.memory_type == INSIGHT.name:
            chains.setdefault(version.memory_id, []).append(version)
    outcome = ReconciledInsights()
    current = {chain: known[-1] for chain, known in chains.items() if known[-1].current}
    chain_by_digest = {version.digest: chain for chain, version in current.items()}
    for insight in insights:
        target = current.get(insight.target or "")
        if target is not None and insight.relation_to_known == "contradicts":
            outcome.contradicted.setdefault(target.memory_id, []).extend(insight.evidence)
        if insight.relation_to_known == "reinforces" and target is not None:
            chain = target.memory_id
        elif insight.new is None:
            continue
        elif (known := chain_by_digest.get(insight.digest)) is not None:
            if (
                target is not None
                and insight.relation_to_known == "contradicts"
                and known == target.memory_id
            ):
                continue  # it contradicts what it states itself
            chain = known
        elif insight.relation_to_known == "refines" and target is not None and not target.pinned:
            chain = target.memory_id
            outcome.superseded.append((target, REFINED))
            _add(outcome, chain, target.version + 1, insight)
            del current[chain], chain_by_digest[target.digest]
            chain_by_digest[insight.digest] = chain
        elif insight.relation_to_known == "refines" and target is not None:
            chain = target.memory_id
        else:
            chain = _revived(insight.digest, chains, chain_by_digest) or str(uuid4())
            if chain not in chain_by_digest.values():
                _add(outcome, chain, chains[chain][-1].version + 1 if chain in chains else 1, insight)
                chain_by_digest[insight.digest] = chain
        outcome.supported.setdefault(chain, []).extend(insight.evidence)
    return outcome


def _revived(
    digest: bytes, chains: dict[str, list[Version]], chain_by_digest: dict[bytes, str]
) -> str | None:
    """Return the insight that stated this before: it is revived, or reinforced if it was refined since."""
    stated = [chain for chain, known in chains.items() if any(version.digest == digest for version in known)]
    return next(
        (chain for chain in stated if chain in chain_by_digest.values()), stated[0] if stated else None
    )


def _add(outcome: ReconciledInsights, chain: str, version: int, insight: NewInsight) -> None:
    assert insight.new is not None
    outcome.added.append(Added(chain, version, insight.new, insight.digest))


def _weight(evidence: Evidence) -> float:
    confidence = 1.0 if evidence.confidence is None else max(evidence.confidence, MIN_CONFIDENCE)
    return EVIDENCE_WEIGHT * confidence
