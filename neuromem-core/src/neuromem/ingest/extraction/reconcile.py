"""New against known: what each statement of a batch does to the memories that are there.

A statement repeats another when their normalized texts are equal, or when the model said so about that very pair. It
supersedes another when the model said so about that very pair, or when both tell what their subject has one of at a
time. Likeness of vectors decides nothing: tea does not replace coffee.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.memories import Added, Learned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from neuromem.domain.extraction import Standing
    from neuromem.domain.memories import NewMemory, Version

REFINED, CONTRADICTED, REPLACED = "refined", "contradicted", "replaced"
WHY = {"refines": REFINED, "contradicts": CONTRADICTED}


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with what the extractor says about one known memory; ``target`` was shown to it, or is None.

    ``reason`` is the extractor's sentence about that; it is kept with what the statement ends.
    """

    new: NewMemory
    digest: bytes
    standing: Standing = "new"
    target: str | None = None
    reason: str | None = None

    def why(self, kind: str) -> str:
        """Return why a version ends: what sort of ending it is, and the reason that was given."""
        return f"{kind}: {self.reason}" if self.reason else kind


@dataclass(slots=True)
class _Node:
    """A version, stored or about to be."""

    chain: str
    version: int
    memory_type: str
    digest: bytes
    unique_key: str | None
    why: str | None
    stored: Version | None = None
    place: int = -1  # in the list of what is added

    @property
    def pinned(self) -> bool:
        """Whether nothing said later may end it."""
        return self.stored is not None and self.stored.pinned


class _Judge:
    def __init__(self, versions: Iterable[Version]) -> None:
        self.chains: dict[str, list[_Node]] = {}
        self.added: list[Added] = []
        self.superseded: list[tuple[Version, str]] = []
        self.reinforced: dict[tuple[str, int], tuple[str, ...]] = {}
        for v in sorted(versions, key=lambda v: (v.memory_id, v.version)):
            node = _Node(v.memory_id, v.version, v.memory_type, v.digest, v.unique_key, v.why, stored=v)
            self.chains.setdefault(v.memory_id, []).append(node)

    def take(self, statement: Statement) -> None:
        """Decide about one statement."""
        target = self._current(statement.target)
        same = self._same(statement)
        if same is not None and same.why is None:
            kept = self._reinforce(same, statement)
        elif same is not None:
            kept = self._again(same, statement)
        elif target is None:
            kept = self._by_unique_key(statement)
        elif statement.standing == "repeats":
            kept = self._reinforce(target, statement)
        elif (
            statement.standing == "new"
            or target.stored is None
            or target.pinned
            or target.memory_type != statement.new.memory_type
        ):
            kept = self._by_unique_key(statement)
        else:
            self._end(target, statement.why(WHY[statement.standing]))
            kept = self._add(statement, target.chain)
        if target is not None and target.why is None and target is not kept and same and target.stored:
            self._gone(target, statement)
        for node in self._holders(statement.new.unique_key):
            if node is not kept:
                self._end(node, f"{REPLACED}: {statement.new.unique_key}")

    def _gone(self, target: _Node, statement: Statement) -> None:
        """End what a statement contradicts that is known as well."""
        if statement.standing == "contradicts":
            self._end(target, statement.why(CONTRADICTED))

    def _again(self, past: _Node, statement: Statement) -> _Node:
        """Take a statement that was superseded: what was only refined is repeated, anything else is revived."""
        chain = self.chains[past.chain]
        current = self._current(past.chain)
        if current is None:
            return self._add(statement, past.chain)
        if current.pinned:
            return self._add(statement, str(uuid4()))
        between = chain[chain.index(past) : chain.index(current)]
        if all((node.why or "").startswith(REFINED) for node in between):
            return self._reinforce(current, statement)
        self._end(current, statement.why(CONTRADICTED) if statement.target == current.chain else CONTRADICTED)
        return self._add(statement, past.chain)

    def _by_unique_key(self, statement: Statement) -> _Node:
        """Add a statement, as the next version of what held its unique key until now."""
        holder = next((node for node in self._holders(statement.new.unique_key) if not node.pinned), None)
        if holder is None:
            return self._add(statement, str(uuid4()))
        self._end(holder, f"{REPLACED}: {statement.new.unique_key}")
        return self._add(statement, holder.chain)

    def _same(self, statement: Statement) -> _Node | None:
        """Return what says the same, the current one rather than the past's last."""
        found = [
            node
            for chain in self.chains.values()
            for node in chain
            if node.digest == statement.digest and node.memory_type == statement.new.memory_type
        ]
        return next((node for node in found if node.why is None), found[-1] if found else None)

    def _current(self, chain: str | None) -> _Node | None:
        last = self.chains.get(chain or "", [])[-1:]
        return last[0] if last and last[0].why is None else None

    def _holders(self, unique_key: str | None) -> list[_Node]:
        if unique_key is None:
            return []
        return [
            n
            for chain in self.chains.values()
            for n in chain[-1:]
            if n.unique_key == unique_key and n.why is None
        ]

    def _reinforce(self, node: _Node, statement: Statement) -> _Node:
        sources = statement.new.sources
        if node.stored is None:
            added = self.added[node.place]
            merged = tuple(dict.fromkeys((*added.new.sources, *sources)))
            self.added[node.place] = replace(added, new=replace(added.new, sources=merged))
        else:
            key = (node.chain, node.version)
            self.reinforced[key] = tuple(dict.fromkeys((*self.reinforced.get(key, ()), *sources)))
        return node

    def _end(self, node: _Node, why: str) -> None:
        if node.pinned:
            return
        node.why = why
        if node.stored is None:
            self.added[node.place] = replace(self.added[node.place], ended=why)
        else:
            self.superseded.append((node.stored, why))

    def _add(self, statement: Statement, chain: str) -> _Node:
        versions = self.chains.setdefault(chain, [])
        number = versions[-1].version + 1 if versions else 1
        node = _Node(
            chain,
            number,
            statement.new.memory_type,
            statement.digest,
            statement.new.unique_key,
            None,
            place=len(self.added),
        )
        self.added.append(Added(chain, number, statement.new, statement.digest))
        versions.append(node)
        return node


def judge(statements: Sequence[Statement], versions: Iterable[Version]) -> Learned:
    """Return what statements, in the order in which they were made, do to the known versions."""
    judge = _Judge(versions)
    for statement in statements:
        judge.take(statement)
    return Learned(judge.added, judge.superseded, judge.reinforced)
