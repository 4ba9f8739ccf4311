"""The knowledge graph: nodes, edges, paths, and the checks of their names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.names import name_key
from neuromem.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

MAX_NAME = 1_024  # bytes of a name's key; PostgreSQL limits what an index can hold


class NodeType(StrEnum):
    """What a node stands for."""

    USER = "USER"
    MEMORY = "MEMORY"
    CONCEPT = "CONCEPT"
    ENTITY = "ENTITY"
    PERSON = "PERSON"
    ORGANIZATION = "ORGANIZATION"
    LOCATION = "LOCATION"
    EVENT = "EVENT"
    SKILL = "SKILL"


class EdgeType(StrEnum):
    """The type of an edge; ``CUSTOM`` comes with the relation's own name."""

    HAS_MEMORY = "HAS_MEMORY"
    MENTIONS = "MENTIONS"
    RELATED_TO = "RELATED_TO"
    KNOWS = "KNOWS"
    ABOUT = "ABOUT"
    WORKS_AT = "WORKS_AT"
    LIVES_IN = "LIVES_IN"
    HAS_SKILL = "HAS_SKILL"
    STUDIED_AT = "STUDIED_AT"
    BELONGS_TO = "BELONGS_TO"
    USES = "USES"
    MET = "MET"
    ATTENDED = "ATTENDED"
    VISITED = "VISITED"
    OCCURRED_AT = "OCCURRED_AT"
    OCCURRED_ON = "OCCURRED_ON"
    HOBBY = "HOBBY"
    OWNS = "OWNS"
    LOCATED_IN = "LOCATED_IN"
    BORN_IN = "BORN_IN"
    SPEAKS = "SPEAKS"
    COLLEAGUE = "COLLEAGUE"
    CUSTOM = "CUSTOM"


SINGLE_VALUED = frozenset({EdgeType.WORKS_AT, EdgeType.LIVES_IN, EdgeType.BORN_IN})
"""Relations of which a node has one at a time: a new edge ends its predecessor. All others accumulate."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node; ``id`` is the name it was created with, ``aliases`` are its other names."""

    user_id: str
    node_type: NodeType
    id: str
    properties: Mapping[str, Any]
    aliases: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Edge:
    """A relation between two nodes.

    ``created_at`` is when neuromem learned it; ``valid_from`` and ``valid_until`` say when it held in the world,
    None is unknown. ``name`` is the own name of a ``CUSTOM`` one. ``sources`` are ids of messages.
    """

    id: str
    user_id: str
    source_type: NodeType
    source_id: str
    edge_type: EdgeType
    target_type: NodeType
    target_id: str
    name: str | None
    properties: Mapping[str, Any]
    confidence: float | None
    valid_from: datetime | None
    valid_until: datetime | None
    created_at: datetime
    sources: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.source_id} -> {self.name or self.edge_type} -> {self.target_id}"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """A node near another: ``distance`` edges away, by ``edges`` that join it to nodes one step nearer."""

    node: Node
    distance: int
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class GraphPath:
    """A path: ``edges[i]`` joins ``nodes[i]`` and ``nodes[i + 1]``, in whichever direction it points."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def length(self) -> int:
        """The number of edges."""
        return len(self.edges)


@dataclass(frozen=True, slots=True)
class GraphChange:
    """A merge or an alias; ``graph.undo`` takes its ``id``."""

    id: str
    user_id: str
    node: Node
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a node of some type; ``key`` is the form in which names are compared."""

    node_type: NodeType
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Relation:
    """What an edge says: ``key`` is stored and compared, ``name`` is the own name of a custom relation."""

    key: str
    name: str | None = None

    @property
    def single_valued(self) -> bool:
        """Whether a new edge ends its predecessor."""
        return self.key in SINGLE_VALUED


@dataclass(frozen=True, slots=True)
class NewEdge:
    """A checked edge that is ready to be stored; ``said_at`` is when its source said so."""

    source: Name
    relation: Relation
    target: Name
    properties: Mapping[str, Any] = field(default_factory=dict)
    confidence: float | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    said_at: datetime | None = None
    sources: Sequence[str] = ()


def node_name(node_type: object, node_id: object) -> Name:
    """Return the checked name of a node; raises `InputError` for a type or id that cannot be used."""
    kind = node_type_of(node_type)
    text = validation.identifier("node_id", node_id)
    key = name_key(text)
    if not key:
        raise InputError(f"The name {text!r} has no characters to compare it by.")
    if len(key.encode()) > MAX_NAME:  # normalization turns some characters into many
        key = f"{key[:100]}#{blake2b(key.encode(), digest_size=16).hexdigest()}"
    return Name(kind, text, key)


def node_type_of(value: object) -> NodeType:
    """Return the node type of a `NodeType` or its name in any case; raises `InputError` for any other value."""
    try:
        return NodeType(str(value).upper())
    except ValueError:
        raise InputError(f"The node type {value!r} is not known; use one of {', '.join(NodeType)}.") from None


def relation_of(edge_type: object, own_name: object = None) -> Relation:
    """Return the relation of an edge type; a string that is not an `EdgeType` names a custom relation.

    Args:
        edge_type: An `EdgeType`, its name in any case, or the name of a custom relation.
        own_name: The relation's own name, required for ``CUSTOM`` and not allowed otherwise.

    Raises:
        InputError: The arguments cannot be used.
    """
    if not isinstance(edge_type, str):
        raise InputError(f"edge_type must be an EdgeType or a name, not {edge_type!r}.")
    key = _relation_key(edge_type)
    if key != EdgeType.CUSTOM:
        if own_name is not None:
            raise InputError(f"name is for edges of type CUSTOM; {edge_type!r} has its name already.")
        return Relation(key) if key in _TYPES else Relation(key, " ".join(edge_type.split()))
    if own_name is None:
        raise InputError("An edge of type CUSTOM needs the relation's own name: pass name='...'.")
    own = validation.identifier("name", own_name)
    return relation_of(own)


def edge_type_of(key: str) -> EdgeType:
    """Return the edge type of a stored relation's key; `EdgeType.CUSTOM` for any that has no type of its own."""
    return EdgeType(key) if key in _TYPES else EdgeType.CUSTOM


def _relation_key(text: str) -> str:
    validation.identifier("edge_type", text)
    key = _NOT_WORD.sub("_", name_key(text)).strip("_").upper()
    if not key or len(key.encode()) > MAX_NAME:
        raise InputError(f"{text[:60]!r} cannot name a relation; use words, such as 'mentors'.")
    return key


_TYPES = frozenset(EdgeType) - {EdgeType.CUSTOM}
_NOT_WORD = re.compile(r"[\W_]+")
