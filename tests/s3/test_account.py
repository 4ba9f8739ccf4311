"""Where S3Storage goes and with which keys."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from neuromem.errors import AuthenticationError, ConfigurationError
from neuromem.plugin import Context
from neuromem_s3 import S3Storage, plugin
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from tests.support.s3_server import S3Server


async def test_everything_from_the_environment(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("S3_ENDPOINT", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    storage = S3Storage(bucket=bucket, create_bucket=True)
    await storage.upload("x", b"1")
    assert await storage.exists("x")


async def test_what_is_given_wins_over_the_environment(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKOTHER")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-other-keys")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    storage = S3Storage(s3.url, ACCESS_KEY, SECRET_KEY, bucket, create_bucket=True)
    await storage.upload("x", b"1")
    assert "token" not in await storage.presigned_url("x")


@pytest.mark.parametrize(("access", "secret"), [(None, None), ("AK", None), (None, "secret"), ("", "")])
def test_missing_keys_name_their_variables(access: str | None, secret: str | None) -> None:
    with pytest.raises(AuthenticationError, match="AWS_SECRET_ACCESS_KEY"):
        S3Storage("http://localhost:9000", access, secret, env={})


async def test_amazon_is_addressed_by_host_unless_the_bucket_has_a_dot() -> None:
    plain = S3Storage(None, "AK", "secret", "files", "eu-west-1", env={})
    assert (await plain.presigned_url("k")).startswith("https://files.s3.eu-west-1.amazonaws.com/k?")
    dotted = S3Storage(None, "AK", "secret", "my.files", "eu-west-1", env={})
    assert (await dotted.presigned_url("k")).startswith("https://s3.eu-west-1.amazonaws.com/my.files/k?")


async def test_virtual_host_does_not_double_the_bucket() -> None:
    for endpoint in ("https://oss.example.com", "https://files.oss.example.com/"):
        storage = S3Storage(endpoint, "AK", "secret", "files", virtual_host=True, env={})
        assert (await storage.presigned_url("k")).startswith("https://files.oss.example.com/k?")


@pytest.mark.parametrize(
    "endpoint", ["ftp://host", "http://", "http://user:hunter2@host", "http://[::1", "http://host?x=hunter2"]
)
def test_an_endpoint_that_is_none(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint") as caught:
        S3Storage(endpoint, "AK", "secret", env={})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("bucket", ["", "a/b", "../x", "a b", "x" * 300])
def test_a_bucket_that_is_none(bucket: str) -> None:
    with pytest.raises(ConfigurationError, match="bucket"):
        S3Storage("http://host", "AK", "secret", bucket, env={})


def test_the_storage_is_built_from_name_options_and_environment() -> None:
    (spec,) = plugin.neuromem_storages()
    assert (spec.name, spec.default) == ("s3", False)
    env = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_REGION": "eu-west-1"}
    storage = spec.factory(Context(model="files", options={"endpoint": "http://host:9000"}, env=env))
    assert repr(storage) == "S3Storage('host:9000', bucket='files')"
    assert "hunter2" not in str(vars(storage))
    with pytest.raises(ConfigurationError, match="'acces_key'"):
        spec.factory(Context(options={"acces_key": "AK"}, env=env))


def test_the_hooks_load_nothing_heavy() -> None:
    code = (
        "import sys, neuromem_s3.plugin as p; p.neuromem_storages(); "
        "print('httpx' in sys.modules, 'obstore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
