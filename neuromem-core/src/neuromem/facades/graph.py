"""``nm.graph``: typed nodes and edges of one user, with their past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neuromem.domain import validation
from neuromem.domain.graph import (
    EdgeType,
    GraphChange,
    NewEdge,
    NodeType,
    node_name,
    node_type_of,
    relation_of,
)
from neuromem.errors import ConflictError, InputError, NotFoundError
from neuromem.store.database.users import begin_write
from neuromem.store.graph.merge import UndoableChange, add_alias, merge_nodes, undo_change
from neuromem.store.graph.read import fetch_edge, fetch_edges, fetch_node, fetch_nodes, find_node
from neuromem.store.graph.traverse import STEPS, Direction, fetch_neighbors, shortest_path
from neuromem.store.graph.view import GraphView
from neuromem.store.graph.write import (
    close_edge,
    close_node,
    insert_node,
    look_up_nodes,
    set_node_properties,
    store_edge,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from neuromem.domain.graph import Edge, GraphPath, Name, Neighbor, Node
    from neuromem.store.database.database import Database, Transaction

MAX_DEPTH = 10
MAX_LIMIT = 10_000
ORIGIN = {"by": "user"}


class Graph:
    """The knowledge graph of one user.

    A node is named by its type and its id, compared without regard to case, width and spacing; an alias is as good
    as the id. The user's own node, ``USER`` and the user's id, is always there. Every read takes ``as_of``: then
    it answers as it would have at that moment. Reads of what is not there find nothing; writes raise
    `NotFoundError`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_node(
        self,
        user_id: str,
        node_type: NodeType | str,
        node_id: str,
        properties: Mapping[str, Any] | None = None,
    ) -> Node:
        """Make a node and return it; one that is there already gets the properties added.

        Args:
            user_id: Whose graph.
            node_type: A `NodeType` or its name in any case.
            node_id: The node's id or an alias, at most 512 characters.
            properties: A dict that JSON can hold.

        Returns:
            The node.

        Raises:
            InputError: An argument cannot be used.
        """
        wanted, given = _named(user_id, node_type, node_id), validation.metadata(properties, "properties")
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            node = await _number(transaction, user_id, wanted)
            if node is None:
                await insert_node(transaction, user_id, wanted, given, now, ORIGIN)
            else:
                await set_node_properties(transaction, user_id, node, given, now, replace=False)
            return await _get(transaction, user_id, wanted)

    async def get_node(
        self, user_id: str, node_type: NodeType | str, node_id: str, *, as_of: datetime | None = None
    ) -> Node | None:
        """Return a node by its id or an alias; None when there is none.

        Args:
            user_id: Whose graph.
            node_type: A `NodeType` or its name in any case.
            node_id: The node's id or an alias, at most 512 characters.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            The node.

        Raises:
            InputError: An argument cannot be used.
        """
        return await fetch_node(self._database, user_id, _named(user_id, node_type, node_id), _view(as_of))

    async def update_node(
        self,
        user_id: str,
        node_type: NodeType | str,
        node_id: str,
        properties: Mapping[str, Any],
        *,
        replace: bool = False,
    ) -> Node:
        """Add properties to a node, or with ``replace`` give it these alone; the past keeps the old ones.

        Args:
            user_id: Whose graph.
            node_type: A `NodeType` or its name in any case.
            node_id: The node's id or an alias, at most 512 characters.
            properties: A dict that JSON can hold.
            replace: Drop the properties that are not named.

        Returns:
            The changed node.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: There is no such node.
        """
        wanted, given = _named(user_id, node_type, node_id), validation.metadata(properties, "properties")
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            node = await _there(transaction, user_id, wanted, now)
            await set_node_properties(transaction, user_id, node, given, now, replace=replace)
            return await _get(transaction, user_id, wanted)

    async def delete_node(self, user_id: str, node_type: NodeType | str, node_id: str) -> bool:
        """Delete a node with its edges and names; True when it was there. The past still shows it.

        Args:
            user_id: Whose graph.
            node_type: A `NodeType` or its name in any case.
            node_id: The node's id or an alias, at most 512 characters.

        Returns:
            Whether there was such a node.

        Raises:
            InputError: An argument cannot be used.
        """
        wanted = _named(user_id, node_type, node_id)
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            node = await _number(transaction, user_id, wanted)
            if node is not None:
                await close_node(transaction, user_id, node, now)
            return node is not None

    async def list_nodes(
        self,
        user_id: str,
        node_type: NodeType | str | None = None,
        limit: int = 100,
        offset: int = 0,
        *,
        as_of: datetime | None = None,
    ) -> list[Node]:
        """Return nodes in the order in which they were made.

        Args:
            user_id: Whose graph.
            node_type: One type; None: all.
            limit: How many at most, 1 to 10,000.
            offset: How many to skip.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            The nodes.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        kind = None if node_type is None else node_type_of(node_type)
        return await fetch_nodes(
            self._database, user_id, kind, _view(as_of), limit=_limit(limit), offset=validation.offset(offset)
        )

    async def create_edge(
        self,
        user_id: str,
        source_type: NodeType | str,
        source_id: str,
        edge_type: EdgeType | str,
        target_type: NodeType | str,
        target_id: str,
        properties: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        confidence: float | None = None,
    ) -> Edge:
        """Relate two nodes and return the edge; one that holds already gets the properties added.

        A new ``WORKS_AT``, ``LIVES_IN`` or ``BORN_IN`` ends the one before it, all others accumulate.

        Args:
            user_id: Whose graph.
            source_type: The type of the node that the edge leaves.
            source_id: Its id or an alias.
            edge_type: An `EdgeType`; any other string is the name of a custom relation.
            target_type: The type of the node that the edge leads to.
            target_id: Its id or an alias.
            properties: A dict that JSON can hold.
            name: The relation's own name, for ``EdgeType.CUSTOM`` only.
            valid_from: Since when it is true in the world; timezone-aware. None: unknown.
            valid_until: Until when; timezone-aware, after ``valid_from``. None: it still is, or unknown.
            confidence: From 0 to 1; None: unknown.

        Returns:
            The edge.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: One of the nodes is not there; the user's own node is made when it is needed.
        """
        source, target = _named(user_id, source_type, source_id), _named(user_id, target_type, target_id)
        new = NewEdge(
            source,
            relation_of(edge_type, name),
            target,
            validation.metadata(properties, "properties"),
            validation.number("confidence", confidence, 0, 1),
            validation.moment("valid_from", valid_from),
            validation.moment("valid_until", valid_until),
        )
        if new.valid_from and new.valid_until and new.valid_from >= new.valid_until:
            raise InputError(f"valid_until {new.valid_until} must lie after valid_from {new.valid_from}.")
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            ends = [await _there(transaction, user_id, end, now) for end in (source, target)]
            related = await store_edge(transaction, user_id, ends[0], new, ends[1], now, ORIGIN)
            edge = await fetch_edge(transaction, user_id, related.edge_id)
        assert edge is not None
        return edge

    async def delete_edge(self, user_id: str, edge_id: str) -> bool:
        """Delete an edge; True when it was there. The past still shows it.

        Args:
            user_id: Whose graph.
            edge_id: The edge's id.

        Returns:
            Whether there was such an edge.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            return await close_edge(transaction, user_id, validation.uuid("edge_id", edge_id), now)

    async def list_edges(
        self,
        user_id: str,
        node_type: NodeType | str | None = None,
        node_id: str | None = None,
        edge_types: Sequence[EdgeType | str] | None = None,
        limit: int = 100,
        offset: int = 0,
        *,
        include_ended: bool = False,
        as_of: datetime | None = None,
    ) -> list[Edge]:
        """Return edges in the order in which they were learned: all, or those of one node.

        Args:
            user_id: Whose graph.
            node_type: The type of a node; None: edges of all nodes.
            node_id: Its id or an alias; given together with ``node_type``.
            edge_types: Types or names of relations; None: all. ``EdgeType.CUSTOM`` means all custom ones.
            limit: How many at most, 1 to 10,000.
            offset: How many to skip.
            include_ended: Include those that do not hold any more or not yet, such as former employers.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            The edges.

        Raises:
            InputError: An argument cannot be used.
        """
        validation.user_id(user_id)
        if (node_type is None) != (node_id is None):
            raise InputError("node_type and node_id name a node together: give both or neither.")
        around = None if node_id is None else _named(user_id, node_type, node_id)
        view = _view(as_of, edge_types, ended=include_ended)
        return await fetch_edges(
            self._database, user_id, around, view, limit=_limit(limit), offset=validation.offset(offset)
        )

    async def get_neighbors(
        self,
        user_id: str,
        node_type: NodeType | str,
        node_id: str,
        edge_types: Sequence[EdgeType | str] | None = None,
        direction: Direction = "both",
        limit: int = 10,
        *,
        depth: int = 1,
        as_of: datetime | None = None,
    ) -> list[Neighbor]:
        """Return the nodes at most ``depth`` edges away: the nearest first, then those learned last.

        Args:
            user_id: Whose graph.
            node_type: A `NodeType` or its name in any case.
            node_id: The node's id or an alias, at most 512 characters.
            edge_types: Types or names of relations to follow; None: all.
            direction: "out", "in" or "both".
            limit: How many at most, 1 to 10,000.
            depth: Edges, 1 to 10.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            The neighbors, each with its distance and the edges that join it to nodes one step nearer.

        Raises:
            InputError: An argument cannot be used.
        """
        if direction not in STEPS:
            raise InputError(f"direction must be 'out', 'in' or 'both', not {direction!r}.")
        return await fetch_neighbors(
            self._database,
            user_id,
            _named(user_id, node_type, node_id),
            _view(as_of, edge_types),
            direction=direction,
            depth=validation.count("depth", depth, most=MAX_DEPTH),
            limit=_limit(limit),
        )

    async def find_path(
        self,
        user_id: str,
        source_type: NodeType | str,
        source_id: str,
        target_type: NodeType | str,
        target_id: str,
        max_depth: int = 3,
        *,
        directed: bool = False,
        edge_types: Sequence[EdgeType | str] | None = None,
        as_of: datetime | None = None,
    ) -> GraphPath | None:
        """Return the shortest path of at most ``max_depth`` edges, None when there is none.

        Args:
            user_id: Whose graph.
            source_type: The type of the node that the path begins at.
            source_id: Its id or an alias.
            target_type: The type of the node that the path ends at.
            target_id: Its id or an alias.
            max_depth: Edges, 1 to 10.
            directed: Follow edges in their direction only.
            edge_types: Types or names of relations to follow; None: all.
            as_of: The moment to answer as of; timezone-aware. None: now.

        Returns:
            The path, its nodes and edges in order.

        Raises:
            InputError: An argument cannot be used.
        """
        return await shortest_path(
            self._database,
            user_id,
            _named(user_id, source_type, source_id),
            _named(user_id, target_type, target_id),
            _view(as_of, edge_types),
            max_depth=validation.count("max_depth", max_depth, most=MAX_DEPTH),
            directed=directed,
        )

    async def alias(self, user_id: str, node_type: NodeType | str, node_id: str, alias: str) -> GraphChange:
        """Give a node another name under which it is found; `undo` takes it back.

        Args:
            user_id: Whose graph.
            node_type: A `NodeType` or its name in any case.
            node_id: The node's id or an alias, at most 512 characters.
            alias: The other name, at most 512 characters.

        Returns:
            The change, with the node after it.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: There is no such node.
            ConflictError: A node goes by that name already; `merge_nodes` makes two nodes one.
        """
        wanted, other = _named(user_id, node_type, node_id), _named(user_id, node_type, alias)
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            node = await _there(transaction, user_id, wanted, now)
            taken = await _number(transaction, user_id, other)
            if taken is not None:
                whose = "this node" if taken == node else "another node"
                raise ConflictError(
                    f"{other.text!r} is already a name of {whose} of type {other.node_type} of user {user_id!r}. "
                    "If two nodes are the same thing, use merge_nodes()."
                )
            change = await add_alias(transaction, user_id, node, other, now)
            return await _change(transaction, user_id, change, wanted)

    async def merge_nodes(
        self, user_id: str, node_type: NodeType | str, node_id: str, other_type: NodeType | str, other_id: str
    ) -> GraphChange:
        """Make two nodes one: the first stays and takes the other's names, edges and missing properties.

        `undo` takes them apart again.

        Args:
            user_id: Whose graph.
            node_type: A `NodeType` or its name in any case.
            node_id: The node's id or an alias, at most 512 characters.
            other_type: The type of the node that goes.
            other_id: Its id or an alias.

        Returns:
            The change, with the node after it.

        Raises:
            InputError: An argument cannot be used, the two are one node already, or the other is the user's own.
            NotFoundError: One of the nodes is not there.
        """
        wanted, other = _named(user_id, node_type, node_id), _named(user_id, other_type, other_id)
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            node = await _there(transaction, user_id, wanted, now)
            gone = await _there(transaction, user_id, other, now)
            if node == gone:
                raise InputError(
                    f"{wanted.text!r} and {other.text!r} are names of one node of user {user_id!r} already."
                )
            if other.node_type is NodeType.USER and other.key == _own(user_id).key:
                raise InputError(f"The own node of user {user_id!r} must stay: name it first.")
            change = await merge_nodes(transaction, user_id, node, gone, other, now)
            return await _change(transaction, user_id, change, wanted)

    async def undo(self, user_id: str, change_id: str) -> None:
        """Undo a merge or an alias; what was learned since stays with the node that stayed.

        Args:
            user_id: Whose graph.
            change_id: The ``id`` of the change.

        Raises:
            InputError: An argument cannot be used.
            NotFoundError: There is no such change, or it was undone.
        """
        validation.user_id(user_id)
        async with self._database.user(user_id) as transaction:
            now = (await begin_write(transaction, user_id)).now
            if not await undo_change(transaction, user_id, validation.uuid("change_id", change_id), now):
                raise NotFoundError(
                    f"User {user_id!r} has no merge or alias {change_id!r} that is still to be undone."
                )


def _named(user_id: str, node_type: object, node_id: object) -> Name:
    validation.user_id(user_id)
    return node_name(node_type, node_id)


def _own(user_id: str) -> Name:
    return node_name(NodeType.USER, user_id)


def _view(
    as_of: datetime | None, edge_types: Sequence[EdgeType | str] | None = None, *, ended: bool = False
) -> GraphView:
    as_of = validation.moment("as_of", as_of)
    if edge_types is None:
        return GraphView(as_of, ended=ended)
    if isinstance(edge_types, str):
        raise InputError(f"edge_types must be a list of edge types; write [{edge_types!r}].")
    customs = EdgeType.CUSTOM in edge_types
    asked = [relation_of(kind) for kind in edge_types if kind != EdgeType.CUSTOM]
    return GraphView(as_of, asked, customs, ended)


def _limit(limit: int) -> int:
    return validation.count("limit", limit, most=MAX_LIMIT)


async def _number(transaction: Transaction, user_id: str, wanted: Name) -> int | None:
    known = await look_up_nodes(transaction, user_id, [wanted])
    return known.get(wanted.key, {}).get(wanted.node_type)


async def _there(transaction: Transaction, user_id: str, wanted: Name, now: datetime) -> int:
    """Return the number of a node that must be there; the user's own node is made when it is needed."""
    node = await _number(transaction, user_id, wanted)
    if node is None and wanted.node_type is NodeType.USER and wanted.key == _own(user_id).key:
        return await insert_node(transaction, user_id, _own(user_id), {}, now, ORIGIN)
    if node is None:
        raise NotFoundError(
            f"User {user_id!r} has no node {wanted.text!r} of type {wanted.node_type}; make it with create_node()."
        )
    return node


async def _get(transaction: Transaction, user_id: str, wanted: Name) -> Node:
    node = await find_node(transaction, user_id, wanted)
    assert node is not None
    return node


async def _change(
    transaction: Transaction, user_id: str, change: UndoableChange, wanted: Name
) -> GraphChange:
    node = await _get(transaction, user_id, wanted)
    return GraphChange(id=change.change_id, user_id=user_id, node=node, created_at=change.moment)
