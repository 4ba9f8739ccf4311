"""The tables: read from a real PostgreSQL that the migrations have just filled, with the migrations' own comments."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from docs.gen.reference.markdown import code, table
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from neuromem.store.database.row_security import GLOBAL_TABLES, WORKER_TABLES
from neuromem.store.schema.migrate import prepare_schema
from neuromem.store.schema.migrations import __file__
from neuromem_local.server import EmbeddedPostgres

HEAD = """# Tables

Everything lives in one schema, `neuromem` unless `schema=` says another. This page is read from a database that the
migrations have just made. The tables are neuromem's own: read them, but change them through the library only. Every
table with rows of users begins every key with `user_id` and is under forced row level security, so a query has to set
its user first:

```sql
BEGIN;
SELECT set_config('neuromem.user_id', 'alice', true);
SELECT content FROM neuromem.messages ORDER BY created_at DESC LIMIT 10;
COMMIT;
```

A back-up has to be made by a role that row level security does not bind, see
[PostgreSQL in production](../how-to/postgresql.md).
"""

COLUMNS = """
    SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS required, pg_get_expr(d.adbin, d.adrelid) AS default
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'neuromem'::regnamespace AND c.relkind IN ('r', 'p')
    ORDER BY c.relname, a.attnum
"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text AS table, contype::text AS kind, pg_get_constraintdef(oid) AS text
    FROM pg_constraint WHERE connamespace = 'neuromem'::regnamespace AND contype IN ('p', 'u', 'f', 'c')
    ORDER BY contype DESC, conname
"""
INDEXES = """
    SELECT tablename AS table, indexdef AS text FROM pg_indexes
    WHERE schemaname = 'neuromem'
      AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE connamespace = 'neuromem'::regnamespace)
    ORDER BY indexname
"""
KINDS = {"p": "primary key", "u": "unique", "f": "foreign key", "c": "check"}


def page() -> str:
    """Return the page."""
    columns, constraints, indexes = asyncio.run(_read())
    said = _comments()
    parts = [HEAD]
    for name in sorted({row["table"] for row in columns}, key=lambda name: (name in GLOBAL_TABLES, name)):
        parts += [f"## {name}\n", f"{said[name]}\n" if name in said else "", _who(name)]
        rows = [
            (code(row["name"]), _type(row["type"]), _notes(row)) for row in columns if row["table"] == name
        ]
        parts.append(table(("column", "type", ""), rows) + "\n")
        rules = [
            f"- {KINDS[row['kind']]} {code(_rule(row['text']))}"
            for row in constraints
            if row["table"].removeprefix("neuromem.") == name
        ]
        rules += [f"- index {code(_index(row['text']))}" for row in indexes if row["table"] == name]
        parts.append("\n".join(rules) + "\n")
    return "\n".join(parts)


async def _read() -> tuple[list[Any], list[Any], list[Any]]:
    with tempfile.TemporaryDirectory(prefix="neuromem-docs-") as home:
        server = EmbeddedPostgres(Path(home) / "postgres", settings={"fsync": "off"})
        address = await server.open()
        try:
            database = Database(parse_dsn(address))
            await prepare_schema(database, migrate=True)
            await database.close()
            connection = await asyncpg.connect(address.replace("+asyncpg", ""))
            try:
                return (
                    await connection.fetch(COLUMNS),
                    await connection.fetch(CONSTRAINTS),
                    await connection.fetch(INDEXES),
                )
            finally:
                await connection.close()
        finally:
            await server.close()


def _comments() -> dict[str, str]:
    """Return what the migrations say above each table that they create."""
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.glob("versions/v*.py")):
        pattern = r'((?:^[ ]*#[^\n]*\n)+)(?:[ ]*"(\w+)": f?"""|\w+ = f?"""\s+CREATE TABLE (?:\{s\}|\{\{s\}\})\.(\w+))'
        for match in re.finditer(pattern, path.read_text(encoding="utf-8"), re.MULTILINE):
            lines = [line.strip().removeprefix("#").strip() for line in match[1].splitlines()]
            found[match[2] or match[3]] = " ".join(lines).replace("\n", " ")
    return found


def _who(name: str) -> str:
    if name in GLOBAL_TABLES:
        return "Holds no rows of users; not under row level security.\n"
    if name in WORKER_TABLES:
        return (
            "A worker that looks for the next job sees all of its rows; everybody else their user's only.\n"
        )
    return ""


def _type(text: str) -> str:
    return text.replace('"', "").replace("timestamp with time zone", "timestamptz")


def _notes(row: Any) -> str:
    default = "" if row["default"] is None else re.sub(r"::[\w\s\"]+(\[\])?$", "", row["default"])
    return ", ".join(
        filter(
            None, ["" if row["required"] else "may be null", f"default {code(default)}" if default else ""]
        )
    )


def _rule(text: str) -> str:
    return re.sub(r"^(PRIMARY KEY|UNIQUE|FOREIGN KEY|CHECK) ", "", text).replace("neuromem.", "")


def _index(text: str) -> str:
    unique = "unique " if " UNIQUE " in text else ""
    name, rest = text.partition(" INDEX ")[2].split(" ON neuromem.", 1)
    return f"{unique}{name} on {rest.partition(' USING btree ')[2] or rest}"
