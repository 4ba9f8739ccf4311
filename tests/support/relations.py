"""Relations as extraction finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import NewEdge, NodeType, node_name, relation_of

if TYPE_CHECKING:
    from collections.abc import Sequence


def edge(
    source: str,
    kind: str,
    target: str,
    *,
    types: tuple[str, str] = ("user", "entity"),
    sources: Sequence[str] = (),
    **fields: Any,
) -> NewEdge:
    """A relation between two named things, by default of the user to something of unknown type."""
    ends = [
        node_name(NodeType(kind.upper()), text) for kind, text in zip(types, (source, target), strict=True)
    ]
    return NewEdge(ends[0], relation_of(kind), ends[1], sources=tuple(sources), **fields)
