"""The checks of ``neuromem doctor``: Python, settings and plugins first, then the database from the outside in."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from neuromem._entry_points import version
from neuromem.config import PREFIX, Settings
from neuromem.errors import DatabaseError, NeuroMemError
from neuromem.registry import PluginRegistry

if TYPE_CHECKING:
    from neuromem.admin import Admin
    from neuromem.cli.options.database import DatabaseOptions
    from neuromem.plugin import EmbeddingProvider
    from neuromem.store.user_data.diagnostics import ServerReport

LIBRARIES = ("sqlalchemy", "asyncpg", "alembic", "pydantic", "pluggy", "httpx")
PLUGIN_VARIABLES = ("NEUROMEM_DISABLE_PLUGINS", "NEUROMEM_HOME")
MIN_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    Attributes:
        name: What was checked.
        status: "fail" when something does not work, "warn" when it works but is not as it should be.
        found: What was found, in a sentence.
        mend: What to do about it, if anything.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    mend: str | None = None


class Checkup:
    """Runs the checks; after one has failed, all others that are still possible are run."""

    def __init__(self, database: DatabaseOptions) -> None:
        self._database_options = database
        self._settings = Settings()
        self._embedding: EmbeddingProvider | None = None
        self.checks: list[Check] = []

    def ok(self, name: str, found: str) -> None:
        """Add a check that found nothing wrong."""
        self.checks.append(Check(name, "ok", found))

    def warn(self, name: str, found: str, mend: str) -> None:
        """Add a check that found something that works but is not as it should be."""
        self.checks.append(Check(name, "warn", found, mend))

    def fail(self, name: str, found: str, mend: str | None = None) -> None:
        """Add a check that failed; the errors of neuromem themselves say what to do, and need no ``mend``."""
        self.checks.append(Check(name, "fail", found, mend))

    async def run(self) -> list[Check]:
        """Run all checks and return what they found."""
        self._versions()
        self._environment()
        await self._plugins()
        try:
            async with self._database_options.admin() as admin:
                await self._database(admin)
        except NeuroMemError as error:
            self.fail("database", str(error))
        return self.checks

    def _versions(self) -> None:
        have = ".".join(map(str, sys.version_info[:3]))
        if sys.version_info >= MIN_PYTHON:
            self.ok("python", have)
        else:
            self.fail("python", have, "Install Python 3.11 or newer.")
        libraries = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
        self.ok("versions", f"neuromem {version('neuromem')}; {libraries}")

    def _environment(self) -> None:
        """Check the settings; the names of the variables are shown, never their values."""
        names = sorted(name for name in os.environ if name.startswith(PREFIX))
        fields = [f"{PREFIX}{field.upper()}" for field in Settings.model_fields]
        known = [*fields, *PLUGIN_VARIABLES]
        try:
            self._settings = Settings.load()
        except NeuroMemError as error:
            self.fail("settings", str(error))
            return
        self.ok("settings", f"from {', '.join(names)}" if names else "all at their defaults")
        for name in names:
            if name.partition("__")[0] not in known:
                near = get_close_matches(name, known, n=1)
                self.warn(
                    "settings",
                    f"{name} is set, but no setting of neuromem has that name.",
                    f"Rename it to {near[0]}." if near else "Unset it, unless a plugin asks for it.",
                )

    async def _plugins(self) -> None:
        registry = PluginRegistry.discover(options=self._settings.plugins, strict=False)
        loaded = [r.origin for r in registry.records if r.state == "loaded"]
        shown = ", ".join(f"{origin.plugin} ({origin.distribution} {origin.version})" for origin in loaded)
        self.ok("plugins", shown)
        for record in registry.records:
            if record.state == "broken":
                name = record.origin.plugin
                self.fail(
                    "plugins",
                    str(record.error),
                    f"Upgrade, reinstall or uninstall {record.origin.distribution or name}, or set "
                    f"NEUROMEM_DISABLE_PLUGINS={name}.",
                )
            elif record.state == "blocked":
                self.ok("plugins", f"{record.origin} is blocked by NEUROMEM_DISABLE_PLUGINS.")
        try:
            chosen = registry.choose_embedding(self._database_options.embedding or self._settings.embedding)
            self._embedding = chosen.value
            model = f"{chosen.value.provider}:{chosen.value.model}, {chosen.value.dims} dimensions"
            self.ok("embedding", model)
        except NeuroMemError as error:
            self.fail("embedding", str(error))

    async def _database(self, admin: Admin) -> None:
        server = await admin.server()
        self.ok("database", f"{admin.place}, PostgreSQL {server.version}, role {server.role}")
        if not server.supported:
            self.fail(
                "database", "This PostgreSQL is older than neuromem needs.", "Upgrade it to 16 or newer."
            )
        self._pgvector(server)
        self._role(server)
        if not await self._schema(admin):
            return
        for check in (self._space, self._isolation, self._queue):
            try:
                await check(admin, server)
            except DatabaseError as error:
                self.fail(check.__name__.strip("_"), str(error))

    def _pgvector(self, server: ServerReport) -> None:
        if server.vector_supported:
            self.ok("pgvector", str(server.vector))
        elif server.vector is not None:
            self.fail(
                "pgvector",
                f"{server.vector} is older than neuromem needs.",
                "Install pgvector 0.7 or newer; then an administrator runs: ALTER EXTENSION vector UPDATE;",
            )
        elif server.available is not None:
            self.warn(
                "pgvector",
                f"The server has {server.available}, this database does not have it yet.",
                "Run `neuromem migrate`; if the role may not create it, an administrator runs, once, in this "
                "database: CREATE EXTENSION vector;",
            )
        else:
            self.fail(
                "pgvector", "The server does not have it.", "Install pgvector 0.7 or newer on the server."
            )

    def _role(self, server: ServerReport) -> None:
        if server.unbound:
            why = "is a superuser" if server.superuser else "has BYPASSRLS"
            self.warn(
                "role",
                f"{server.role} {why}, so row level security does not hold: only the queries' own "
                "conditions keep users apart.",
                "Connect as an ordinary role that owns the schema.",
            )
            return
        self.ok("role", f"{server.role} is bound by row level security.")
        others = ", ".join(server.unbound_roles) or "none that can log in"
        self.ok(
            "backup",
            f"pg_dump as {server.role} would leave every user's rows out; back up with a superuser "
            f"or a role with BYPASSRLS ({others}).",
        )

    async def _schema(self, admin: Admin) -> bool:
        """Check the schema; return whether it has tables that can be checked."""
        try:
            plan = await admin.plan()
        except DatabaseError as error:
            self.fail("schema", str(error))
            return True
        if plan.pending:
            self.warn(
                "schema",
                f"at revision {plan.current or '(empty)'}, {len(plan.pending)} migrations to come.",
                "Run `neuromem migrate`; a NeuroMemory does it when it opens, unless auto_migrate=False.",
            )
        else:
            self.ok("schema", f"at revision {plan.current}, up to date")
        return plan.current is not None

    async def _space(self, admin: Admin, server: ServerReport) -> None:
        del server
        space = await admin.space()
        if space is None:
            self.ok("space", "no embedding model was used yet")
        elif (chosen := self._embedding) is None or (
            (space.provider, space.model, space.dims, space.revision)
            == (chosen.provider, chosen.model, chosen.dims, chosen.revision)
        ):
            self.ok("space", f"filled with {space}")
        else:
            self.fail(
                "space",
                f"The schema was filled with {space}, not with the embedding above.",
                "Choose that model or another schema, or change the schema's model: neuromem reembed.",
            )

    async def _isolation(self, admin: Admin, server: ServerReport) -> None:
        found = await admin.isolation()
        if found.unprotected:
            self.fail(
                "isolation",
                f"Row level security is not forced on {', '.join(found.unprotected)}.",
                "Somebody changed these tables; ALTER TABLE ... ENABLE and FORCE ROW LEVEL SECURITY, and "
                "give them the policy that the other tables have.",
            )
        if found.leaking or found.writable:
            leaks = [f"could read {', '.join(found.leaking)}"] if found.leaking else []
            leaks += ["could write for somebody else"] if found.writable else []
            seen = f"A user without any rows {' and '.join(leaks)}."
            if server.unbound:
                self.warn("isolation", seen, "See role above.")
            else:
                self.fail("isolation", seen, "Compare the policies of these tables with those of the others.")
        elif not found.unprotected:
            self.ok(
                "isolation",
                f"forced on all {len(found.protected)} tables with user data; a stranger could "
                "neither read nor write (tried, and rolled back)",
            )

    async def _queue(self, admin: Admin, server: ServerReport) -> None:
        del server
        queues = await admin.queue()
        if not queues:
            self.ok("work", "nothing is waiting")
        for queue in queues:
            line = f"{queue.kind} ({queue.capability or 'anyone'}): {queue.open} open"
            if queue.oldest is not None:
                line += f", the oldest of {queue.oldest:%Y-%m-%d %H:%M} UTC"
            error = f"; last error: {queue.error}" if queue.error else ""
            if queue.dead:
                self.warn(
                    "work",
                    f"{line}, {queue.dead} given up{error}",
                    "Mend what the error says; then bring back what was given up: neuromem jobs retry",
                )
            elif queue.error:
                self.warn("work", f"{line}{error}", "Mend what the error says; it is tried again by itself.")
            else:
                self.ok("work", line)
