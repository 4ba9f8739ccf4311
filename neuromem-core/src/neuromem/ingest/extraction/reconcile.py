"""Reconciles new statements with known memories: which are added, repeated, revived or superseded.

A statement repeats another when both state the same by their words (`domain.text.same_statement`), or when the model
said so about that very pair. It supersedes another when the model said so about that very pair, or when both have one
unique key. Similarity of vectors decides nothing: tea does not replace coffee.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.memories import Added, Learned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuromem.domain.extraction import RelationToKnown
    from neuromem.domain.memories import NewMemory, Version

REFINED, CONTRADICTED, REPLACED = "refined", "contradicted", "replaced"
ENDINGS = {"refines": REFINED, "contradicts": CONTRADICTED}
"""Why a version ends, by the relation of the statement that ends it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A new statement, and how it relates to one known memory.

    Attributes:
        new: The memory to store.
        digest: Its `statement_hash`.
        relation_to_known: What the extractor says about ``target``.
        target: Id of a known memory that the extractor was shown, or None.
        reason: The extractor's sentence about the relation; kept with the memory that the statement ends.
    """

    new: NewMemory
    digest: bytes
    relation_to_known: RelationToKnown = "new"
    target: str | None = None
    reason: str | None = None

    def ending(self, kind: str) -> str:
        """Return why a version ends, as it is stored: the kind of ending and the extractor's reason."""
        return f"{kind}: {self.reason}" if self.reason else kind


@dataclass(slots=True)
class _ChainVersion:
    """A version of a memory, stored or about to be."""

    chain: str
    version: int
    memory_type: str
    digest: bytes
    unique_key: str | None
    why: str | None
    stored: Version | None = None
    added_index: int = -1

    @property
    def pinned(self) -> bool:
        """Whether a user has pinned it, so that no statement may end it."""
        return self.stored is not None and self.stored.pinned


class _Reconciliation:
    """The versions of memories as they are after the statements taken so far."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self.chains: dict[str, list[_ChainVersion]] = {}
        self.added: list[Added] = []
        self.superseded: list[tuple[Version, str]] = []
        self.reinforced: dict[tuple[str, int], tuple[str, ...]] = {}
        for v in sorted(versions, key=lambda v: (v.memory_id, v.version)):
            node = _ChainVersion(
                v.memory_id, v.version, v.memory_type, v.digest, v.unique_key, v.why, stored=v
            )
            self.chains.setdefault(v.memory_id, []).append(node)

    def take(self, statement: Statement) -> None:
        """Apply one statement."""
        target = self._current(statement.target)
        same = self._same(statement)
        if same is not None and same.why is None:
            kept = self._reinforce(same, statement)
        elif same is not None:
            kept = self._restate(same, statement)
        elif target is None:
            kept = self._by_unique_key(statement)
        elif statement.relation_to_known == "repeats":
            kept = self._reinforce(target, statement)
        elif (
            statement.relation_to_known == "new"
            or target.stored is None
            or target.pinned
            or target.memory_type != statement.new.memory_type
        ):
            kept = self._by_unique_key(statement)
        else:
            self._end(target, statement.ending(ENDINGS[statement.relation_to_known]))
            kept = self._add(statement, target.chain)
        if target is not None and target.why is None and target is not kept and same and target.stored:
            self._end_contradicted(target, statement)
        for node in self._holders(statement.new.unique_key):
            if node is not kept:
                self._end(node, f"{REPLACED}: {statement.new.unique_key}")

    def _end_contradicted(self, target: _ChainVersion, statement: Statement) -> None:
        """End the contradicted memory though the statement itself is known already."""
        if statement.relation_to_known == "contradicts":
            self._end(target, statement.ending(CONTRADICTED))

    def _restate(self, past: _ChainVersion, statement: Statement) -> _ChainVersion:
        """Apply a statement equal to a superseded version: it reinforces what refined that, else it is revived."""
        chain = self.chains[past.chain]
        current = self._current(past.chain)
        if current is None:
            return self._add(statement, past.chain)
        if current.pinned:
            return self._add(statement, str(uuid4()))
        between = chain[chain.index(past) : chain.index(current)]
        if all((node.why or "").startswith(REFINED) for node in between):
            return self._reinforce(current, statement)
        self._end(
            current, statement.ending(CONTRADICTED) if statement.target == current.chain else CONTRADICTED
        )
        return self._add(statement, past.chain)

    def _by_unique_key(self, statement: Statement) -> _ChainVersion:
        """Add a statement; it continues the memory that had its unique key until now."""
        holder = next((node for node in self._holders(statement.new.unique_key) if not node.pinned), None)
        if holder is None:
            return self._add(statement, str(uuid4()))
        self._end(holder, f"{REPLACED}: {statement.new.unique_key}")
        return self._add(statement, holder.chain)

    def _same(self, statement: Statement) -> _ChainVersion | None:
        """Return the version that states the same: the current one, else the last superseded one."""
        found = [
            node
            for chain in self.chains.values()
            for node in chain
            if node.digest == statement.digest and node.memory_type == statement.new.memory_type
        ]
        return next((node for node in found if node.why is None), found[-1] if found else None)

    def _current(self, chain: str | None) -> _ChainVersion | None:
        last = self.chains.get(chain or "", [])[-1:]
        return last[0] if last and last[0].why is None else None

    def _holders(self, unique_key: str | None) -> list[_ChainVersion]:
        if unique_key is None:
            return []
        return [
            n
            for chain in self.chains.values()
            for n in chain[-1:]
            if n.unique_key == unique_key and n.why is None
        ]

    def _reinforce(self, node: _ChainVersion, statement: Statement) -> _ChainVersion:
        sources = statement.new.sources
        if node.stored is None:
            added = self.added[node.added_index]
            merged = tuple(dict.fromkeys((*added.new.sources, *sources)))
            self.added[node.added_index] = replace(added, new=replace(added.new, sources=merged))
        else:
            key = (node.chain, node.version)
            self.reinforced[key] = tuple(dict.fromkeys((*self.reinforced.get(key, ()), *sources)))
        return node

    def _end(self, node: _ChainVersion, why: str) -> None:
        if node.pinned:
            return
        node.why = why
        if node.stored is None:
            self.added[node.added_index] = replace(self.added[node.added_index], ended=why)
        else:
            self.superseded.append((node.stored, why))

    def _add(self, statement: Statement, chain: str) -> _ChainVersion:
        versions = self.chains.setdefault(chain, [])
        number = versions[-1].version + 1 if versions else 1
        node = _ChainVersion(
            chain,
            number,
            statement.new.memory_type,
            statement.digest,
            statement.new.unique_key,
            None,
            added_index=len(self.added),
        )
        self.added.append(Added(chain, number, statement.new, statement.digest))
        versions.append(node)
        return node


def reconcile_statements(statements: Sequence[Statement], versions: Iterable[Version]) -> Learned:
    """Return what statements add to, end and reinforce among the known versions.

    Args:
        statements: The statements, in the order in which they were made.
        versions: All versions of the memories that they may concern (`store.memories.write.version_chains`).
    """
    state = _Reconciliation(versions)
    for statement in statements:
        state.take(statement)
    return Learned(state.added, state.superseded, state.reinforced)
