"""Database URLs: what libpq and SQLAlchemy accept, turned into the DSN that asyncpg takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from neuromem.errors import ConfigurationError

SCHEMES = ("postgresql+asyncpg", "postgresql", "postgres")
# Parameters that asyncpg understands in the query of a DSN, and settings of a session that are libpq parameters, too.
_PASSED_PARAMETERS = frozenset(
    {
        "host",
        "port",
        "user",
        "password",
        "passfile",
        "dbname",
        "service",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "sslcrl",
        "sslpassword",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "target_session_attrs",
        "krbsrvname",
        "gsslib",
        "application_name",
        "options",
    }
)
# Parameters without effect on asyncpg; the last one is what providers of poolers tell their users to add.
_IGNORED_PARAMETERS = frozenset(
    {
        "channel_binding",
        "gssencmode",
        "client_encoding",
        "fallback_application_name",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "sslcompression",
        "pgbouncer",
    }
)
_HOSTS = re.compile(r"((\[[0-9A-Fa-f:.%]+\]|[^\[\]:,@]*)(:\d+)?)(,(\[[0-9A-Fa-f:.%]+\]|[^\[\]:,@]*)(:\d+)?)*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect.

    Attributes:
        dsn: The DSN for asyncpg; it has the password, so it is never shown.
        label: Host, port and database, for messages.
        connect_timeout: How many seconds connecting may take.
    """

    dsn: str
    label: str
    connect_timeout: float = 30.0

    def __repr__(self) -> str:
        return f"Target({self.label!r})"


def parse_dsn(url: str) -> Target:
    """Return the target of a database URL.

    The query parameters ``sslmode``, ``sslrootcert``, ``sslcert``, ``sslkey``, ``host`` (also a socket folder),
    ``options``, ``application_name``, ``connect_timeout`` and ``target_session_attrs`` work as they do in libpq.

    Args:
        url: ``postgresql://user:password@host:5432/database``, also with ``postgres://`` or ``postgresql+asyncpg://``.

    Raises:
        ConfigurationError: The URL cannot be used. The message shows no more of it than its scheme or the name of a
            parameter.
    """
    parts = _split(url)
    login, _, hosts = parts.netloc.rpartition("@")
    if not _HOSTS.fullmatch(hosts) or parts.fragment or ("@" in parts.path + parts.query and not login):
        raise _unreadable()
    query, timeout = _query(parts.query)
    user, colon, password = login.partition(":")
    netloc = _quoted(user) + colon + _quoted(password) + "@" * bool(login) + hosts
    dsn = f"postgresql://{netloc}{parts.path}" + (f"?{urlencode(query)}" if query else "")
    host = unquote(hosts) or query.get("host", "") or "localhost"
    port = f":{query['port']}" if not hosts and "port" in query else ""
    database = unquote(parts.path.removeprefix("/")) or query.get("dbname", "") or "(default)"
    return Target(dsn, f"{host}{port}/{database}", timeout)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _unreadable() from None
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(
            f"The database URL starts with {parts.scheme or 'no scheme'!r}; neuromem needs PostgreSQL: "
            "postgresql://user:password@host:5432/database"
        )
    return parts


def _query(text: str) -> tuple[dict[str, str], float]:
    """Return the parameters for asyncpg and the seconds that connecting may take."""
    query: dict[str, str] = {}
    timeout = 30.0
    for key, value in parse_qsl(text, keep_blank_values=True):
        if key == "connect_timeout":
            if not re.fullmatch(r"\d+(\.\d+)?", value):
                raise ConfigurationError("connect_timeout in the database URL must be a number of seconds.")
            timeout = float(value) or timeout
        elif key == "ssl":  # the name that SQLAlchemy's asyncpg users know
            query["sslmode"] = {"true": "require", "false": "disable"}.get(value.lower(), value)
        elif key in _PASSED_PARAMETERS:
            query[key] = value
        elif key not in _IGNORED_PARAMETERS:
            raise ConfigurationError(
                f"The database URL has the parameter {key!r}, which is not one of libpq's. A setting of the "
                "session is given as options=-c%20name%3Dvalue, the size of the pool as pool_size."
            )
    return query, timeout


def _quoted(part: str) -> str:
    return quote(unquote(part), safe="")


def _unreadable() -> ConfigurationError:
    return ConfigurationError(
        "The database URL cannot be read; it must look like postgresql://user:password@host:5432/database. "
        "Characters such as @ : / ? # [ ] % in the user or password are written percent-encoded, for example "
        "with urllib.parse.quote(password, safe='')."
    )
