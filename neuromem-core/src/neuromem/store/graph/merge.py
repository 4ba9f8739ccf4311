"""One thing under two names: merges and aliases, and how they are undone.

Whatever a merge touches carries the merge's moment, which no other transaction of the user has. To undo it is to
close what began at that moment and bring back what ended at it, unless it has changed since.
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

ADD_ALIAS = """
    INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
    VALUES (:user, :key, :node_type, :node, :name, true, :now)
"""

ADD_CHANGE = """
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

# An edge between the two is dropped, and one that the node that stays has already; the sources of both are kept.
MOVE_EDGES = """
    WITH moved AS (
        UPDATE {s}.edges SET superseded_at = :now
        WHERE user_id = :user AND superseded_at IS NULL AND (source = :other OR target = :other)
        RETURNING *
    ), placed AS MATERIALIZED (
        SELECT m.*, CASE WHEN source = :other THEN :node ELSE source END AS new_source,
               CASE WHEN target = :other THEN :node ELSE target END AS new_target
        FROM moved m
    ), said AS (
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

# Where one thing now has two of what it can have one of, the earlier ends where the later begins.
OVERLAPS = """
    WITH o AS (
        SELECT edge_id, version, valid_from, valid_until,
               lead(edge_id) OVER w AS next, lead(valid_from) OVER w AS begins
        FROM {s}.edges
        WHERE user_id = :user AND source = :node AND relation = ANY(CAST(:single AS text[]))
          AND superseded_at IS NULL
        WINDOW w AS (PARTITION BY relation ORDER BY valid_from NULLS FIRST, created_at, edge_id)
    ), ended AS (
        UPDATE {s}.edges e SET superseded_at = :now FROM o
        WHERE e.user_id = :user AND e.edge_id = o.edge_id AND e.version = o.version
          AND o.next IS NOT NULL AND (o.valid_until IS NULL OR o.valid_until > o.begins)
        RETURNING e.*, o.next, o.begins
    )
    INSERT INTO {s}.edges (user_id, edge_id, version, source, target, relation, name, properties, confidence,
                           origin, valid_from, valid_until, closed_by, created_at)
    SELECT user_id, edge_id, version + 1, source, target, relation, name, properties, confidence, origin,
           valid_from, begins, next, :now
    FROM ended WHERE valid_from IS NULL OR valid_from < begins
"""

CHANGE = """
    UPDATE {s}.graph_changes SET undone_at = :now
    WHERE user_id = :user AND change_id = :change AND undone_at IS NULL
    RETURNING created_at, node
"""

UNDO_NAMES = """
    WITH gone AS (
        UPDATE {s}.node_names SET superseded_at = :now
        WHERE user_id = :user AND created_at = :then AND superseded_at IS NULL
        RETURNING key, node_type
    )
    INSERT INTO {s}.node_names (user_id, key, node_type, node, name, alias, created_at)
    SELECT n.user_id, n.key, n.node_type, n.node, n.name, n.alias, :now
    FROM {s}.node_names n JOIN gone USING (key, node_type)
    WHERE n.user_id = :user AND n.superseded_at = :then AND n.created_at < :then
"""

UNDO_NODES = """
    WITH back AS MATERIALIZED (
        SELECT n.* FROM {s}.nodes n
        WHERE n.user_id = :user AND n.superseded_at = :then AND n.created_at < :then
          AND NOT EXISTS (SELECT FROM {s}.nodes c WHERE c.user_id = :user AND c.node = n.node
                          AND c.created_at > :then)
    ), gone AS (
        UPDATE {s}.nodes n SET superseded_at = :now FROM back b
        WHERE n.user_id = :user AND n.node = b.node AND n.superseded_at IS NULL
        RETURNING n.node
    )
    INSERT INTO {s}.nodes (user_id, node, version, node_type, name, properties, origin, created_at)
    SELECT b.user_id, b.node,
           (SELECT max(version) + 1 FROM {s}.nodes v WHERE v.user_id = :user AND v.node = b.node),
           b.node_type, b.name, b.properties, b.origin, :now
    FROM back b WHERE (SELECT count(*) FROM gone) >= 0
"""

# What has changed since keeps its new fields and gets its old ends back; what was dropped as a double comes back;
# what was deleted since stays deleted.
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
    ), gone AS (
        UPDATE {s}.edges e SET superseded_at = :now FROM old
        WHERE e.user_id = :user AND e.edge_id = old.edge_id AND e.version = old.c_version
        RETURNING e.edge_id
    ), unsaid AS (
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
    FROM old WHERE (SELECT count(*) FROM gone) >= 0
    ON CONFLICT (user_id, source, relation, target, valid_from) WHERE superseded_at IS NULL DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class UndoableChange:
    """What can be undone: its id, the node that it is about, and its moment."""

    change_id: str
    node: int
    moment: datetime


async def add_alias(
    transaction: Transaction, user_id: str, node: int, name: Name, now: datetime
) -> UndoableChange:
    """Give a node another name."""
    await transaction.run(
        ADD_ALIAS,
        {
            "user": user_id,
            "node": node,
            "key": name.key,
            "node_type": name.node_type.value,
            "name": name.text,
            "now": now,
        },
    )
    return await _record(transaction, user_id, "alias", node, name.text, now)


async def merge_nodes(
    transaction: Transaction, user_id: str, node: int, other: int, name: Name, now: datetime
) -> UndoableChange:
    """Make two nodes one: ``node`` stays and takes the names, edges and missing properties of ``other``."""
    place = {"user": user_id, "node": node, "other": other, "now": now}
    properties = [
        await transaction.value(NODE_PROPERTIES, {"user": user_id, "node": n}) for n in (other, node)
    ]
    await transaction.run(MOVE_NAMES, place)
    await transaction.run(MOVE_EDGES, place)
    await transaction.run(OVERLAPS, {**place, "single": sorted(SINGLE_VALUED)})
    await transaction.run(CLOSE_NODE, {"user": user_id, "node": other, "now": now})
    await set_node_properties(
        transaction, user_id, node, {**properties[0], **properties[1]}, now, replace=True
    )
    return await _record(transaction, user_id, "merge", node, name.text, now)


async def undo_change(transaction: Transaction, user_id: str, change_id: str, now: datetime) -> bool:
    """Undo a merge or an alias; False when there is none such that was not undone already."""
    row = await transaction.first(CHANGE, {"user": user_id, "change": change_id, "now": now})
    if row is None:
        return False
    for statement in (UNDO_NAMES, UNDO_NODES, UNDO_EDGES):
        await transaction.run(statement, {"user": user_id, "then": row.created_at, "now": now})
    return True


async def _record(
    transaction: Transaction, user_id: str, kind: str, node: int, name: str, now: datetime
) -> UndoableChange:
    change = str(uuid4())
    await transaction.run(
        ADD_CHANGE,
        {"user": user_id, "change": change, "kind": kind, "node": node, "name": name, "now": now},
    )
    return UndoableChange(change, node, now)
