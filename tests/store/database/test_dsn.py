"""Database URLs: those that libpq accepts connect; errors about the others say why, and show no password."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuromem.errors import ConfigurationError, DatabaseError, DatabaseUnavailableError
from neuromem.store.database.database import Database
from neuromem.store.database.dsn import parse_dsn
from tests.support.cluster import PASSWORD

if TYPE_CHECKING:
    from tests.support.cluster import Cluster

SECRET = "hunter2"


async def ask(url: str, sql: str) -> str:
    database = Database(parse_dsn(url), pool_size=1)
    try:
        async with database.worker() as transaction:
            return str(await transaction.value(sql))
    finally:
        await database.close()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?sslmode=disable",
        "?sslmode=prefer",
        "?ssl=false",
        "?sslmode=disable&channel_binding=prefer&keepalives=1&pgbouncer=true&gssencmode=disable",
        "?connect_timeout=10&target_session_attrs=any",
    ],
)
async def test_the_common_forms_connect(cluster: Cluster, scheme: str, query: str) -> None:
    url = f"{scheme}://app@127.0.0.1:{cluster.port}/app{query}"
    assert await ask(url, "SELECT current_user || '@' || current_database()") == "app@app"


@pytest.mark.parametrize(
    ("form", "label"),
    [
        ("postgresql://app@/app?host={folder}&port={port}", "{folder}:{port}/app"),
        ("postgresql:///app?host={folder}&port={port}&user=app", "{folder}:{port}/app"),
        ("postgres://?dbname=app&host={folder}&port={port}&user=app", "{folder}:{port}/app"),
        ("postgresql://app@{quoted}:{port}/app", "{folder}:{port}/app"),
        ("postgresql://app@127.0.0.1:1,127.0.0.1:{port}/app", "127.0.0.1:1,127.0.0.1:{port}/app"),
    ],
)
async def test_sockets_and_several_hosts_connect(cluster: Cluster, form: str, label: str) -> None:
    values = {
        "folder": str(cluster.folder),
        "quoted": quote(str(cluster.folder), safe=""),
        "port": cluster.port,
    }
    url = form.format(**values)
    assert await ask(url, "SELECT current_user || '@' || current_database()") == "app@app"
    assert parse_dsn(url).label == label.format(**values)


async def test_options_and_application_name_reach_the_session(cluster: Cluster) -> None:
    url = (
        f"postgresql://app@127.0.0.1:{cluster.port}/app?application_name=my%20agent"
        "&options=-c%20statement_timeout%3D41s%20-c%20work_mem%3D5MB"
    )
    sql = "SELECT concat_ws('|', {})".format(
        ", ".join(
            f"current_setting('{name}')" for name in ("application_name", "statement_timeout", "work_mem")
        )
    )
    assert await ask(url, sql) == "my agent|41s|5MB"


async def test_any_password_works_when_it_is_percent_encoded(cluster: Cluster) -> None:
    url = f"postgresql://guarded:{quote(PASSWORD, safe='')}@127.0.0.1:{cluster.port}/app"
    assert await ask(url, "SELECT current_user") == "guarded"
    in_query = f"postgresql://127.0.0.1:{cluster.port}/app?user=guarded&password={quote(PASSWORD, safe='')}"
    assert await ask(in_query, "SELECT current_user") == "guarded"


async def test_a_server_without_ssl_is_named_when_ssl_is_required(cluster: Cluster) -> None:
    url = f"postgresql://app:{SECRET}@127.0.0.1:{cluster.port}/app?sslmode=require"
    with pytest.raises(DatabaseUnavailableError, match=rf"127\.0\.0\.1:{cluster.port}/app .*SSL"):
        await ask(url, "SELECT 1")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql://app:{SECRET}@no-such-host.invalid/db", "no-such-host.invalid/db cannot be used"),
        (f"postgresql://app:{SECRET}@127.0.0.1:1/db", "127.0.0.1:1/db cannot be used"),
        (f"postgresql://app:{SECRET}@/db?host=/no/such/folder", "/no/such/folder/db cannot be used"),
        (f"postgresql://guarded:{SECRET}@127.0.0.1:{{port}}/app", "password authentication failed"),
        (f"postgresql://app:{SECRET}@127.0.0.1:{{port}}/nothing", 'database "nothing" does not exist'),
        (f"postgresql://app:{SECRET}@127.0.0.1:{{port}}/app?sslmode=loud", "sslmode"),
    ],
)
async def test_what_cannot_be_reached_is_named_and_the_password_is_not(
    cluster: Cluster, url: str, says: str
) -> None:
    with pytest.raises(DatabaseError) as caught:
        await ask(url.format(port=cluster.port), "SELECT 1")
    assert isinstance(caught.value, DatabaseUnavailableError)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://app:hunter2@host/db",
        "hunter2",
        "",
        "postgresql://app:hunter2/5@host/db",
        "postgresql://app:12#hunter2@host/db",
        "postgresql://app:12?hunter2@host/db",
        "postgresql://app:[hunter2@host/db",
        "postgresql://app:hunter2@host:port/db",
        "postgresql://app:hunter2@host/db?pool=hunter2",
        "postgresql://app@host/db?connect_timeout=hunter2",
    ],
)
def test_what_is_no_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_dsn(url)
    assert SECRET not in str(caught.value)


@settings(max_examples=50, deadline=None)
@given(user=st.text(min_size=1), password=st.text(min_size=1), database=st.text(min_size=1))
def test_a_target_never_shows_its_password(user: str, password: str, database: str) -> None:
    try:
        url = f"postgresql://{quote(user, safe='')}:{quote('pw-' + password, safe='')}@host/{quote(database, safe='')}"
    except UnicodeEncodeError:
        return
    target = parse_dsn(url)
    assert "pw-" not in repr(target) or "pw-" in database
    assert target.label == f"host/{database}"
