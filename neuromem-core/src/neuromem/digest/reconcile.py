"""Found against known: what each insight that a model wrote does to those that are there.

An insight repeats another when their normalized texts are equal, or when the model said so about that very pair;
likeness of vectors decides nothing.
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
WEIGHT = 0.35
"""What one memory, of which nobody doubts, says for or against an insight."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a model found: an insight (None: nothing holds instead of what it contradicts) and who speaks for it.

    ``standing`` says how it stands to the insight ``target``: it reinforces, refines or contradicts it.
    """

    new: NewMemory | None
    digest: bytes
    witnesses: Sequence[Evidence]
    standing: str | None = None
    target: str | None = None


@dataclass(slots=True)
class Outcome:
    """What is to be stored: versions added and superseded, evidence for and against, by insight."""

    added: list[Added] = field(default_factory=list)
    superseded: list[tuple[Version, str]] = field(default_factory=list)
    supported: dict[str, list[Evidence]] = field(default_factory=dict)
    doubted: dict[str, list[Evidence]] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, int, bool, float, str]]:
        """Return the evidence as it is stored."""
        return [
            (insight, w.memory_id, w.version, against, _weight(w), w.source)
            for against, told in ((False, self.supported), (True, self.doubted))
            for insight, witnesses in told.items()
            for w in {w.memory_id: w for w in witnesses}.values()
        ]


def resolve(findings: Iterable[Finding], versions: Iterable[Version]) -> Outcome:
    """Return what findings, in their order, do to the known versions of insights."""
    chains: dict[str, list[Version]] = {}
    for version in sorted(versions, key=lambda v: (v.memory_id, v.version)):
        if version.memory_type == INSIGHT.name:
            chains.setdefault(version.memory_id, []).append(version)
    outcome = Outcome()
    current = {chain: known[-1] for chain, known in chains.items() if known[-1].current}
    says = {version.digest: chain for chain, version in current.items()}
    for finding in findings:
        target = current.get(finding.target or "")
        if target is not None and finding.standing == "contradicts":
            outcome.doubted.setdefault(target.memory_id, []).extend(finding.witnesses)
        if finding.standing == "reinforces" and target is not None:
            chain = target.memory_id
        elif finding.new is None:
            continue
        elif (known := says.get(finding.digest)) is not None:
            if target is not None and finding.standing == "contradicts" and known == target.memory_id:
                continue  # it contradicts itself
            chain = known
        elif finding.standing == "refines" and target is not None and not target.pinned:
            chain = target.memory_id
            outcome.superseded.append((target, REFINED))
            _add(outcome, chain, target.version + 1, finding)
            del current[chain], says[target.digest]
            says[finding.digest] = chain
        elif finding.standing == "refines" and target is not None:
            chain = target.memory_id
        else:
            chain = _revived(finding.digest, chains, says) or str(uuid4())
            if chain not in says.values():
                _add(outcome, chain, chains[chain][-1].version + 1 if chain in chains else 1, finding)
                says[finding.digest] = chain
        outcome.supported.setdefault(chain, []).extend(finding.witnesses)
    return outcome


def _revived(digest: bytes, chains: dict[str, list[Version]], says: dict[bytes, str]) -> str | None:
    """Return the insight that said this once: it says it again, or was refined since and is reinforced."""
    said = [chain for chain, known in chains.items() if any(version.digest == digest for version in known)]
    return next((chain for chain in said if chain in says.values()), said[0] if said else None)


def _add(outcome: Outcome, chain: str, version: int, finding: Finding) -> None:
    assert finding.new is not None
    outcome.added.append(Added(chain, version, finding.new, finding.digest))


def _weight(witness: Evidence) -> float:
    sure = 1.0 if witness.confidence is None else max(witness.confidence, 0.1)
    return WEIGHT * sure
