"""What this distribution offers to neuromem; nothing is loaded before it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.plugin import Context, DatabaseProvider, ProviderSpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable


def _database(ctx: Context) -> DatabaseProvider:
    from neuromem_local.paths import default_home
    from neuromem_local.server import EmbeddedPostgres

    return EmbeddedPostgres(default_home(ctx.env), **ctx.options)


@hookimpl
def neuromem_databases() -> Iterable[ProviderSpec[DatabaseProvider]]:
    """Offer the embedded PostgreSQL."""
    return [
        ProviderSpec("local", _database, "PostgreSQL from a wheel, shared by the machine's processes", default=True)
    ]
