"""The address of a bucket and the keys to it, from arguments and environment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from neuromem.errors import AuthenticationError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVIDER = "s3"
KEY_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass access_key=... and secret_key=..., to keys "
    "of somebody who may use this bucket."
)
_BUCKET = re.compile(r"[A-Za-z0-9][\w.-]{1,254}", re.ASCII)
_ENDPOINTS = ("S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A pair of keys, left out of every repr."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def leaks_in(self, text: str) -> bool:
        """Return whether a text contains one of the secrets; the access key is a name, not a secret."""
        return self.secret_key in text or bool(self.session_token and self.session_token in text)


@dataclass(frozen=True, slots=True)
class Account:
    """A bucket at an endpoint.

    Attributes:
        bucket: Its name.
        region: Its region.
        endpoint: The address of the server, with the bucket in its host if ``virtual_host``; None is Amazon.
        virtual_host: Whether the bucket stands in the host instead of the path.
        credentials: The keys; None uses the role of the instance or container, which only Amazon has.
    """

    bucket: str
    region: str
    endpoint: str | None
    virtual_host: bool
    credentials: Credentials | None


def find_account(
    endpoint: str | None,
    access_key: str | None,
    secret_key: str | None,
    session_token: str | None,
    bucket: str,
    region: str,
    *,
    virtual_host: bool | None,
    env: Mapping[str, str] | None,
) -> Account:
    """Return the account of a bucket: what is None is taken from the environment, then everything is checked.

    Raises:
        ConfigurationError: The name of the bucket or the endpoint cannot be one.
        AuthenticationError: There is an endpoint or half of a pair of keys, and no pair.
    """
    env = os.environ if env is None else env
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(f"{bucket!r} cannot name a bucket: use letters, digits, '.' and '-'.")
    endpoint = endpoint or next((env[name] for name in _ENDPOINTS if env.get(name)), None)
    if not access_key and not secret_key:
        access_key, secret_key = env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")
        session_token = session_token or env.get("AWS_SESSION_TOKEN") or None
    credentials = Credentials(access_key, secret_key, session_token) if access_key and secret_key else None
    if credentials is None and (endpoint or access_key or secret_key):
        raise AuthenticationError(
            f"There is no pair of keys for bucket {bucket!r} at {host_of(endpoint)}. {KEY_HINT}",
            provider=PROVIDER,
        )
    if endpoint is None:  # a dot in the bucket's name would not match Amazon's certificate
        virtual_host = "." not in bucket if virtual_host is None else virtual_host
    else:
        endpoint = _address(endpoint, bucket, bool(virtual_host))
    return Account(bucket, region, endpoint, bool(virtual_host), credentials)


def host_of(endpoint: str | None) -> str:
    """Return host and port of an endpoint, without the path and the keys that it may contain."""
    if endpoint is None:
        return "Amazon S3"
    return re.split("[/?#]", endpoint.rpartition("://")[2])[0].rpartition("@")[2]


def _address(endpoint: str, bucket: str, virtual_host: bool) -> str:
    endpoint = endpoint.strip()
    try:
        url = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        fits = url.scheme in ("http", "https") and url.hostname and url.username is None and not url.query
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"The endpoint {host_of(endpoint)!r} of bucket {bucket!r} is not an address: pass one like "
            "'https://minio.example.com:9000', without keys in it."
        )
    host = url.netloc
    if virtual_host and not host.startswith(f"{bucket}."):
        host = f"{bucket}.{host}"
    return f"{url.scheme}://{host}{url.path.rstrip('/')}"
