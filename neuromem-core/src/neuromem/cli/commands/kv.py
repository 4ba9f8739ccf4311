"""``neuromem kv``: list, get, set and delete key-value pairs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from neuromem.cli.options.user import as_of_option, count_options, user_options
from neuromem.cli.output import CommandError, print_items, print_json, print_text
from neuromem.domain.kv import PROFILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from neuromem.cli.options.database import DatabaseOptions

ABSENT = object()


@click.group(short_help="Key-value pairs, the profile among them.")
def kv() -> None:
    """Look at key-value pairs of a user, and change them. The profile is namespace "profile"."""


def namespace_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--namespace``."""
    return click.option("--namespace", default=PROFILE, show_default=True)(function)


@kv.command("list")
@click.option("--prefix", default="", help="Only keys that begin with this.")
@click.option("--after", help="Only keys after this one, for the next page.")
@namespace_option
@as_of_option
@count_options(offset=False)
@user_options
def list_pairs(
    database: DatabaseOptions,
    user: str,
    *,
    namespace: str,
    prefix: str,
    limit: int,
    after: str | None,
    as_of: datetime | None,
    as_json: bool,
) -> None:
    """List pairs in the order of their keys."""

    async def run() -> list[Any]:
        async with database.memory(worker=False) as memory:
            return list(await memory.kv.list(user, namespace, prefix, limit, after, as_of=as_of))

    pairs = asyncio.run(run())
    print_items(
        pairs,
        as_json,
        ["key"],
        lambda pair: [pair["key"], json.dumps(pair["value"], ensure_ascii=False)],
        "value",
    )


@kv.command()
@click.argument("key")
@namespace_option
@as_of_option
@user_options
def get(
    database: DatabaseOptions, user: str, key: str, *, namespace: str, as_of: datetime | None, as_json: bool
) -> None:
    """Write the value of KEY as JSON."""

    async def run() -> Any:
        async with database.memory(worker=False) as memory:
            return await memory.kv.get(user, namespace, key, ABSENT, as_of=as_of)

    del as_json  # it is JSON in any case
    value = asyncio.run(run())
    if value is ABSENT:
        raise CommandError(f"User {user!r} has no {key!r} in namespace {namespace!r}.")
    print_json(value)


@kv.command("set")
@click.argument("key")
@click.argument("value")
@click.option("--ttl", type=float, help="Seconds after which it is gone.")
@namespace_option
@user_options
def set_value(
    database: DatabaseOptions,
    user: str,
    key: str,
    value: str,
    *,
    ttl: float | None,
    namespace: str,
    as_json: bool,
) -> None:
    """Store VALUE, JSON or else a plain string, under KEY."""
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value

    async def run() -> None:
        async with database.memory(worker=False) as memory:
            await memory.kv.set(user, namespace, key, parsed, ttl=ttl)

    asyncio.run(run())
    if as_json:
        print_json({"key": key, "value": parsed})
    else:
        print_text(f"{key!r} of user {user!r} is set.")


@kv.command()
@click.argument("key")
@namespace_option
@user_options
def delete(database: DatabaseOptions, user: str, key: str, *, namespace: str, as_json: bool) -> None:
    """Delete KEY."""

    async def run() -> bool:
        async with database.memory(worker=False) as memory:
            return await memory.kv.delete(user, namespace, key)

    deleted = asyncio.run(run())
    if as_json:
        print_json({"deleted": deleted})
    elif deleted:
        print_text(f"{key!r} of user {user!r} is deleted.")
    else:
        raise CommandError(f"User {user!r} has no {key!r} in namespace {namespace!r}.")
