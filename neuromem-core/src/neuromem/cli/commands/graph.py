"""``neuromem graph``: list nodes and relations of the knowledge graph, and find paths in it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.user import as_of_option, count_options, user_options
from neuromem.cli.output import print_items, print_json, print_notice, print_text
from neuromem.domain.graph import NodeType

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.domain.graph import Edge, GraphPath, Neighbor, Node

ME = "me"


def read_node(context: click.Context, argument: click.Parameter, text: str | None) -> tuple[str, str] | None:
    """Return type and id of a node that is written as TYPE:ID; both are `ME` for the user's own node."""
    if text is None:
        return None
    if text == ME:
        return ME, ME
    kind, _, own = text.partition(":")
    if kind.upper() not in NodeType.__members__ or not own:
        raise click.BadParameter(
            f"{text!r} is no node; write TYPE:ID, such as person:Bob, or {ME}.", context, argument
        )
    return kind, own


def relation_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--relation``, which may be repeated."""
    return click.option(
        "--relation", "relations", multiple=True, metavar="NAME", help="Only this relation; may be repeated."
    )(function)


@click.group(short_help="Nodes, relations and paths of the knowledge graph.")
def graph() -> None:
    """Look at the knowledge graph of a user. A NODE is TYPE:ID, such as person:Bob, or "me" for the user."""


@graph.command()
@click.option(
    "--type", "node_type", type=click.Choice([*NodeType], case_sensitive=False), help="Only this type."
)
@as_of_option
@count_options()
@user_options
def nodes(database: DatabaseOptions, user: str, *, as_json: bool, **options: Any) -> None:
    """List nodes in the order in which they were made."""

    async def run() -> list[Node]:
        async with database.memory(worker=False) as memory:
            return await memory.graph.list_nodes(user, **options)

    print_items(
        asyncio.run(run()),
        as_json,
        ["type", "id", "also known as"],
        lambda n: [n.node_type, n.id, ", ".join(n.aliases), _properties(n.properties)],
        "properties",
    )


@graph.command()
@click.argument("node", callback=read_node, required=False)
@click.option("--ended", "include_ended", is_flag=True, help="Also what does not hold any more, or yet.")
@relation_option
@as_of_option
@count_options()
@user_options
def edges(
    database: DatabaseOptions,
    user: str,
    *,
    node: tuple[str, str] | None,
    relations: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """List relations in the order in which they were learned: all, or those of NODE."""
    around: tuple[str | None, str | None] = (None, None) if node is None else _node(node, user)

    async def run() -> list[Edge]:
        async with database.memory(worker=False) as memory:
            return await memory.graph.list_edges(user, *around, edge_types=list(relations) or None, **options)

    print_items(asyncio.run(run()), as_json, [], lambda e: [f"{e}{_validity(e)}"], "relation")


@graph.command()
@click.argument("node", callback=read_node)
@click.option(
    "--depth", default=1, show_default=True, type=click.IntRange(1, 10), help="At most so many steps away."
)
@click.option("--direction", default="both", show_default=True, type=click.Choice(["out", "in", "both"]))
@relation_option
@as_of_option
@count_options(offset=False, limit=20)
@user_options
def neighbors(
    database: DatabaseOptions,
    user: str,
    *,
    node: tuple[str, str],
    relations: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """List the nodes around NODE, the nearest first."""

    async def run() -> list[Neighbor]:
        async with database.memory(worker=False) as memory:
            return await memory.graph.get_neighbors(
                user, *_node(node, user), list(relations) or None, **options
            )

    print_items(
        asyncio.run(run()),
        as_json,
        ["steps", "type", "id"],
        lambda n: [str(n.distance), n.node.node_type, n.node.id, "; ".join(str(e) for e in n.edges)],
        "by",
    )


@graph.command()
@click.argument("source", callback=read_node)
@click.argument("target", callback=read_node)
@click.option(
    "--max-depth", default=4, show_default=True, type=click.IntRange(1, 10), help="At most so many steps."
)
@click.option("--directed", is_flag=True, help="Follow relations only the way they point.")
@relation_option
@as_of_option
@user_options
def path(
    database: DatabaseOptions,
    user: str,
    *,
    source: tuple[str, str],
    target: tuple[str, str],
    relations: tuple[str, ...],
    as_json: bool,
    max_depth: int,
    directed: bool,
    as_of: datetime | None,
) -> None:
    """Find the shortest path from SOURCE to TARGET."""

    async def run() -> GraphPath | None:
        async with database.memory(worker=False) as memory:
            return await memory.graph.find_path(
                user,
                *_node(source, user),
                *_node(target, user),
                max_depth,
                directed=directed,
                edge_types=list(relations) or None,
                as_of=as_of,
            )

    found = asyncio.run(run())
    if as_json:
        print_json(found)
    elif found is None:
        print_notice(f"No path of at most {max_depth} steps was found.")
    else:
        print_text("\n".join(str(edge) for edge in found.edges) or found.nodes[0].id)


def _node(node: tuple[str, str], user: str) -> tuple[str, str]:
    return (NodeType.USER, user) if node[0] == ME else node


def _properties(properties: Any) -> str:
    return json.dumps(properties, ensure_ascii=False) if properties else ""


def _validity(edge: Edge) -> str:
    begin = f" from {edge.valid_from:%Y-%m-%d}" if edge.valid_from else ""
    end = f" until {edge.valid_until:%Y-%m-%d}" if edge.valid_until else ""
    return begin + end
