"""Merges two nodes, gives a node an alias, and undoes both.

Rows that a merge closes or adds carry its moment, which no other transaction of the user has. Undoing a merge closes
what it added and adds again what it closed; what has changed since the merge keeps its later fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from neuromem.domain.graph import SINGLE_VALUED
from neuromem.store.graph.write import CLOSE_NODE, NODE_PROPERTIES, set_node_properties

if TYPE_CHECKING:
    from datetime import datetime

    from neuromem.domain.graph import Name
    from neuromem.store.database.database import Transaction

INSERT_ALIAS = """
    INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
    VALUES (:user, :key, :node_type, :node, :name, true, :now)
"""

INSERT_CHANGE = """
    INSERT INTO {s}.graph_changes (user_id, change_id, kind, node, name, created_at)
    VALUES (:user, :change, :kind, :node, :name, :now)
"""

MOVE_NAMES = """
    WITH moved AS (
        UPDATE {s}.node_names SET superseded_at = :now
        WHERE user_id = :user AND node = :other AND superseded_at IS NULL
        RETURNING key, node_type, name
    )
    INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
    SELECT :user, key, node_type, :node, name, true, :now FROM moved
"""

# Dropped are edges between the two nodes, and edges that the remaining node has already, which gets their sources.
MOVE_EDGES = """
    WITH moved AS (
        UPDATE {s}.edges SET superseded_at = :now
        WHERE user_id = :user AND superseded_at IS NULL AND (source = :other OR target = :other)
        RETURNING *
    ), placed AS MATERIALIZED (
        SELECT m.*, CASE WHEN source = :other THEN :node ELSE source END AS new_source,
               CASE WHEN target = :other THEN :node ELSE target END AS new_target
        FROM moved m
    ), moved_sources AS (
        INSERT INTO {s}.edge_sources (user_id, edge_id, message_id, created_at)
        SELECT :user, e.edge_id, o.message_id, :now FROM placed p
        JOIN {s}.edges e ON e.user_id = :user AND e.source = p.new_source AND e.relation = p.relation
             AND e.target = p.new_target AND e.valid_from IS NOT DISTINCT FROM p.valid_from
             AND e.superseded_at IS NULL
        JOIN {s}.edge_sources o ON o.user_id = :user AND o.edge_id = p.edge_id
        ON CONFLICT DO NOTHING
    )
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                           origin, valid_from, valid_until, closed_by, created_at)
    SELECT user_id, edge_id, version + 1, new_source, new_target, relation, name, properties, confidence,
           origin, valid_from, valid_until, closed_by, :now
    FROM placed WHERE new_source <> new_target OR source = target
    ON CONFLICT (user_id, source, relation, target, valid_from) WHERE superseded_at IS NULL DO NOTHING
"""

# Single-valued relations of the merged node: the earlier of two ends where the later begins.
END_OVERLAPPING_EDGES = """
    WITH ordered AS (
        SELECT edge_id, version, valid_from, valid_until,
               lead(edge_id) OVER w AS next, lead(valid_from) OVER w AS begins
        FROM {s}.edges
        WHERE user_id = :user AND source = :node AND relation = ANY(CAST(:single AS text[]))
          AND superseded_at IS NULL
        WINDOW w AS (PARTITION BY relation ORDER BY valid_from NULLS FIRST, created_at, edge_id)
    ), ended AS (
        UPDATE {s}.edges e SET superseded_at = :now FROM ordered
        WHERE e.user_id = :user AND e.edge_id = ordered.edge_id AND e.version = ordered.version
          AND ordered.next IS NOT NULL AND (ordered.valid_until IS NULL OR ordered.valid_until > ordered.begins)
        RETURNING e.*, ordered.next, ordered.begins
    )
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                           origin, valid_from, valid_until, closed_by, created_at)
    SELECT user_id, edge_id, version + 1, source, target, relation, name, properties, confidence, origin,
           valid_from, begins, next, :now
    FROM ended WHERE valid_from IS NULL OR valid_from < begins
"""

MARK_CHANGE_UNDONE = """
    UPDATE {s}.graph_changes SET undone_at = :now
    WHERE user_id = :user AND change_id = :change AND undone_at IS NULL
    RETURNING created_at, node
"""

UNDO_NAMES = """
    WITH closed AS (
        UPDATE {s}.node_names SET superseded_at = :now
        WHERE user_id = :user AND created_at = :then AND superseded_at IS NULL
        RETURNING key, node_type
    )
    INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
    SELECT n.user_id, n.key, n.node_type, n.node, n.name, n.alias, :now
    FROM {s}.node_names n JOIN closed USING (key, node_type)
    WHERE n.user_id = :user AND n.superseded_at = :then AND n.created_at < :then
"""

UNDO_NODES = """
    WITH restored AS MATERIALIZED (
        SELECT n.* FROM {s}.nodes n
        WHERE n.user_id = :user AND n.superseded_at = :then AND n.created_at < :then
          AND NOT EXISTS (SELECT FROM {s}.nodes c WHERE c.user_id = :user AND c.node = n.node
                          AND c.created_at > :then)
    ), closed AS (
        UPDATE {s}.nodes n SET superseded_at = :now FROM restored b
        WHERE n.user_id = :user AND n.node = b.node AND n.superseded_at IS NULL
        RETURNING n.node
    )
    INSERT INTO {s}.nodes (user_id, node, version, node_type, name, properties, origin, created_at)
    SELECT b.user_id, b.node,
           (SELECT max(version) + 1 FROM {s}.nodes v WHERE v.user_id = :user AND v.node = b.node),
           b.node_type, b.name, b.properties, b.origin, :now
    FROM restored b WHERE (SELECT count(*) FROM closed) >= 0
"""

# An edge that has changed since the merge keeps its later fields and gets its former nodes back. An edge that the merge
# dropped as a duplicate comes back. An edge that was deleted since stays deleted.
UNDO_EDGES = """
    WITH old AS MATERIALIZED (
        SELECT o.*, c.version AS c_version, c.created_at = :then AS untouched, m.version AS m_version,
               c.properties AS c_properties, c.confidence AS c_confidence, c.valid_from AS c_from,
               c.valid_until AS c_until, c.closed_by AS c_closed_by
        FROM {s}.edges o
        LEFT JOIN {s}.edges c ON c.user_id = :user AND c.edge_id = o.edge_id AND c.superseded_at IS NULL
        LEFT JOIN LATERAL (
            SELECT max(m.version) AS version FROM {s}.edges m
            WHERE m.user_id = :user AND m.edge_id = o.edge_id
        ) m ON true
        WHERE o.user_id = :user AND o.superseded_at = :then AND o.created_at < :then
          AND (c.version IS NOT NULL OR NOT EXISTS (
              SELECT FROM {s}.edges l WHERE l.user_id = :user AND l.edge_id = o.edge_id
              AND l.superseded_at > :then))
    ), closed AS (
        UPDATE {s}.edges e SET superseded_at = :now FROM old
        WHERE e.user_id = :user AND e.edge_id = old.edge_id AND e.version = old.c_version
        RETURNING e.edge_id
    ), deleted_sources AS (
        DELETE FROM {s}.edge_sources WHERE user_id = :user AND created_at = :then
    )
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                           origin, valid_from, valid_until, closed_by, created_at)
    SELECT user_id, edge_id, m_version + 1, source, target, relation, name,
           CASE WHEN untouched IS FALSE THEN c_properties ELSE properties END,
           CASE WHEN untouched IS FALSE THEN c_confidence ELSE confidence END, origin,
           CASE WHEN untouched IS FALSE THEN c_from ELSE valid_from END,
           CASE WHEN untouched IS FALSE THEN c_until ELSE valid_until END,
           CASE WHEN untouched IS FALSE THEN c_closed_by ELSE closed_by END, :now
    FROM old WHERE (SELECT count(*) FROM closed) >= 0
    ON CONFLICT (user_id, source, relation, target, valid_from) WHERE superseded_at IS NULL DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class UndoableChange:
    """A merge or an alias that can be undone.

    Attributes:
        change_id: The id by which it is undone.
        node: The number of the node that it is about.
        moment: When it happened on the user's clock.
    """

    change_id: str
    node: int
    moment: datetime


async def add_alias(
    transaction: Transaction, user_id: str, node: int, name: Name, now: datetime
) -> UndoableChange:
    """Give a node another name.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        node: The number of the node.
        name: The alias, with the type under which the node goes by it; no current node has it.
        now: The moment of the transaction on the user's clock.
    """
    await transaction.run(
        INSERT_ALIAS,
        {
            "user": user_id,
            "node": node,
            "key": name.key,
            "node_type": name.node_type.value,
            "name": name.text,
            "now": now,
        },
    )
    return await _record_change(transaction, user_id, "alias", node, name.text, now)


async def merge_nodes(
    transaction: Transaction, user_id: str, node: int, other: int, name: Name, now: datetime
) -> UndoableChange:
    """Make two nodes one: ``node`` remains and takes over names, edges and missing properties of ``other``.

    Args:
        transaction: A transaction that holds the user's lock.
        user_id: Whose graph.
        node: The number of the node that remains.
        other: The number of the node that ends.
        name: The name of ``other``, kept with the record of the merge.
        now: The moment of the transaction on the user's clock.
    """
    place = {"user": user_id, "node": node, "other": other, "now": now}
    properties = [
        await transaction.value(NODE_PROPERTIES, {"user": user_id, "node": n}) for n in (other, node)
    ]
    await transaction.run(MOVE_NAMES, place)
    await transaction.run(MOVE_EDGES, place)
    await transaction.run(END_OVERLAPPING_EDGES, {**place, "single": sorted(SINGLE_VALUED)})
    await transaction.run(CLOSE_NODE, {"user": user_id, "node": other, "now": now})
    await set_node_properties(
        transaction, user_id, node, {**properties[0], **properties[1]}, now, replace=True
    )
    return await _record_change(transaction, user_id, "merge", node, name.text, now)


async def undo_change(transaction: Transaction, user_id: str, change_id: str, now: datetime) -> bool:
    """Undo a merge or an alias.

    Returns:
        False when there is no such change, or it is undone already.
    """
    row = await transaction.first(MARK_CHANGE_UNDONE, {"user": user_id, "change": change_id, "now": now})
    if row is None:
        return False
    for statement in (UNDO_NAMES, UNDO_NODES, UNDO_EDGES):
        await transaction.run(statement, {"user": user_id, "then": row.created_at, "now": now})
    return True


async def _record_change(
    transaction: Transaction, user_id: str, kind: str, node: int, name: str, now: datetime
) -> UndoableChange:
    change = str(uuid4())
    await transaction.run(
        INSERT_CHANGE,
        {"user": user_id, "change": change, "kind": kind, "node": node, "name": name, "now": now},
    )
    return UndoableChange(change, node, now)
