"""Which nodes, names and edges a read of the graph sees: `GraphView` and the SQL that it fills in.

Templates of the graph use these places: ``{node}`` and ``{edge}`` (columns), ``{ends}`` (joins of an edge's nodes),
``{edge_visible}`` (edge e belongs to the user and is seen) and ``{current_X}`` (the row of the alias X is the current
version).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuromem.domain.graph import EdgeType
from neuromem.store.database.sql import TRUE, Fragment, fill, place_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from neuromem.domain.graph import Relation

NODE_COLUMNS = """
    n.node, n.node_type, n.name AS node_name, n.properties AS node_properties,
    (SELECT f.created_at FROM {s}.nodes f WHERE f.user_id = :user AND f.node = n.node AND f.version = 1)
        AS node_created_at,
    ARRAY(SELECT a.name FROM {s}.node_names a
          WHERE a.user_id = :user AND a.node = n.node AND a.alias AND {current_a} ORDER BY a.key, a.node_type)
        AS aliases
"""

EDGE_COLUMNS = """
    e.edge_id, s.node_type AS source_type, s.name AS source_name, e.relation, e.name AS own_name,
    t.node_type AS target_type, t.name AS target_name, e.properties, e.confidence, e.valid_from, e.valid_until,
    e.created_at,
    ARRAY(SELECT o.message_id FROM {s}.edge_sources o
          WHERE o.user_id = :user AND o.edge_id = e.edge_id AND {source_known} ORDER BY o.created_at, o.message_id)
        AS sources
"""

# One look-up for each: only few edges are left when their nodes are joined, which the planner does not know.
EDGE_ENDS = """
    LEFT JOIN LATERAL (
        SELECT s.* FROM {s}.nodes s WHERE s.user_id = :user AND s.node = e.source AND {current_s} LIMIT 1
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT t.* FROM {s}.nodes t WHERE t.user_id = :user AND t.node = e.target AND {current_t} LIMIT 1
    ) t ON true
"""


@dataclass(frozen=True, slots=True)
class GraphView:
    """What a read of the graph sees.

    Attributes:
        as_of: See what was known at that moment; None for now.
        relations: Only edges of these relations; None for all.
        customs: With ``relations``, also edges whose relation is not built in.
        ended: Also edges that do not hold in the world at that moment: those that ended or have not begun.
    """

    as_of: datetime | None = None
    relations: Sequence[Relation] | None = None
    customs: bool = False
    ended: bool = False

    def fill(self, template: str, **fragments: Fragment | str) -> Fragment:
        """Return a template with its places filled by what this view sees.

        Args:
            template: SQL with places of the graph (see the module), and others that ``fragments`` fill.
            fragments: What comes into the other places.
        """
        missing = place_names(template) - fragments.keys()
        return fill(template, **{name: self._place(name) for name in missing}, **fragments)

    def _place(self, name: str) -> Fragment:
        if name.startswith("current_"):
            return version_condition(name.removeprefix("current_"), self.as_of)
        match name:
            case "node":
                return self.fill(NODE_COLUMNS)
            case "edge":
                return self.fill(EDGE_COLUMNS)
            case "ends":
                return self.fill(EDGE_ENDS)
            case "source_known":
                return _source_known(self.as_of)
            case "edge_visible":
                holds, asked = edge_holds_condition(self), relation_condition(self)
                return fill(
                    "e.user_id = :user AND {current} AND {holds} AND {asked}",
                    current=version_condition("e", self.as_of),
                    holds=holds,
                    asked=asked,
                )
        raise ValueError(f"A view of the graph has nothing for the place {{{name}}}.")


PRESENT = GraphView()


def version_condition(alias: str, as_of: datetime | None) -> Fragment:
    """Return the condition "this row is the current version", now or at ``as_of``."""
    if as_of is None:
        return Fragment(f"{alias}.superseded_at IS NULL")
    moment = "CAST(:as_of AS timestamptz)"
    return Fragment(
        f"({alias}.created_at <= {moment} "
        f"AND ({alias}.superseded_at IS NULL OR {alias}.superseded_at > {moment}))",
        {"as_of": as_of},
    )


def edge_holds_condition(view: GraphView) -> Fragment:
    """Return the condition "edge e holds in the world", now or at the view's moment."""
    if view.ended:
        return TRUE
    moment = "now()" if view.as_of is None else "CAST(:as_of AS timestamptz)"
    return Fragment(
        f"(e.valid_from IS NULL OR e.valid_from <= {moment}) "
        f"AND (e.valid_until IS NULL OR e.valid_until > {moment})",
        _moment_parameter(view.as_of),
    )


def relation_condition(view: GraphView) -> Fragment:
    """Return the condition "edge e is of a relation that the view asks for"."""
    if view.relations is None:
        return TRUE
    chosen = "e.relation = ANY(CAST(:relations AS text[]))"
    keys = {"relations": [relation.key for relation in view.relations]}
    if not view.customs:
        return Fragment(chosen, keys)
    custom = "NOT e.relation = ANY(CAST(:builtin AS text[]))"
    return Fragment(f"({chosen} OR {custom})", {**keys, "builtin": list(EdgeType)})


def _source_known(as_of: datetime | None) -> Fragment:
    """Return the condition "source o of an edge was known", now or at ``as_of``."""
    if as_of is None:
        return TRUE
    return Fragment("o.created_at <= CAST(:as_of AS timestamptz)", {"as_of": as_of})


def _moment_parameter(as_of: datetime | None) -> dict[str, Any]:
    return {} if as_of is None else {"as_of": as_of}
