"""Database URLs as people have them, turned into what asyncpg takes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from neuromem.errors import ConfigurationError

SCHEMES = ("postgresql+asyncpg", "postgresql", "postgres")
# libpq parameters that asyncpg takes as arguments of its own or not at all.
_IGNORED = frozenset({"channel_binding", "gssencmode", "client_encoding", "fallback_application_name"})


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: a DSN for asyncpg (with the password, so never shown) and a label that may be shown."""

    dsn: str
    label: str
    connect_timeout: float = 30.0

    def __repr__(self) -> str:
        return f"Target({self.label!r})"


def parse(url: str) -> Target:
    """Return the target of ``url``; libpq's query parameters are understood.

    ``sslmode``, ``sslrootcert``, ``sslcert``, ``sslkey``, ``host`` (also a socket folder), ``options``,
    ``application_name``, ``connect_timeout`` and ``target_session_attrs`` work as they do in libpq.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(
            f"The database URL starts with {parts.scheme or 'no scheme'!r}; neuromem needs PostgreSQL: "
            "postgresql://user:password@host:5432/database"
        )
    query: list[tuple[str, str]] = []
    timeout = 30.0
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key == "connect_timeout":
            timeout = float(value) if value.replace(".", "", 1).isdigit() and float(value) > 0 else timeout
        elif key == "ssl":  # the name that SQLAlchemy's asyncpg users know
            query.append(("sslmode", {"true": "require", "false": "disable"}.get(value.lower(), value)))
        elif key not in _IGNORED:
            query.append((key, value))
    # Without an authority urlunsplit would drop the two slashes that asyncpg's parser insists on.
    dsn = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(query), ""))
    if not parts.netloc:
        dsn = dsn.replace("postgresql:", "postgresql://", 1) if not dsn.startswith("postgresql://") else dsn
    names = dict(query)
    host = parts.hostname or unquote(names.get("host", "")) or "localhost"
    port = f":{parts.port}" if parts.port else ""
    database = unquote(parts.path.lstrip("/")) or names.get("dbname", "") or "(default)"
    return Target(dsn, f"{host}{port}/{database}", timeout)
