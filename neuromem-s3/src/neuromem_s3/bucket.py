"""Opens a bucket with obstore, and creates a missing one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import obstore
from obstore.store import S3Store

from neuromem.errors import AuthenticationError
from neuromem.plugin.http import HttpClient, HttpStatusError, Retry
from neuromem_s3.account import KEY_HINT, PROVIDER

if TYPE_CHECKING:
    from obstore.store import S3Credential

    from neuromem_s3.account import Account

_MADE_MEANWHILE = ("BucketAlreadyOwnedByYou", "OperationAborted")


def open_store(account: Account, timeout: float, retry: Retry) -> S3Store:
    """Return obstore's handle of a bucket, without connecting."""
    options: dict[str, Any] = {}
    if account.endpoint is not None:  # both, or AWS_ENDPOINT_URL_S3 in the environment would win
        options |= {"endpoint": account.endpoint, "aws_endpoint_url_s3": account.endpoint}
    credentials = account.credentials
    if credentials is not None:
        # as a provider and not as options: AWS_SESSION_TOKEN in the environment belongs to other keys
        keys: S3Credential = {
            "access_key_id": credentials.access_key,
            "secret_access_key": credentials.secret_key,
            "token": credentials.session_token,
            "expires_at": None,
        }
        options["credential_provider"] = lambda: keys
    return S3Store(
        account.bucket,
        region=account.region,
        virtual_hosted_style_request=account.virtual_host,
        skip_signature=False,
        disable_bulk_delete=True,  # not every server has it, and no more than one object is deleted at once
        client_options={
            "allow_http": (account.endpoint or "").startswith("http:"),
            "connect_timeout": timedelta(seconds=min(10.0, timeout)),
            "read_timeout": timedelta(seconds=timeout),
            "timeout": timedelta(seconds=10 * timeout),
        },
        retry_config={
            "max_retries": retry.attempts - 1,
            "backoff": {
                "init_backoff": timedelta(seconds=retry.backoff),
                "max_backoff": timedelta(seconds=retry.max_backoff),
            },
        },
        **options,
    )


async def ensure_bucket(store: S3Store, region: str, timeout: float, retry: Retry) -> None:
    """Create the bucket unless it exists, with two requests that obstore signs: it cannot create buckets itself."""

    async def ask(method: Literal["HEAD", "PUT"], body: bytes = b"") -> None:
        url = await obstore.sign_async(store, method, "", timedelta(minutes=1))
        http = HttpClient(url, provider=PROVIDER, key_hint=KEY_HINT, read_timeout=timeout, retry=retry)
        try:
            await http.send(method, "", body)
        finally:
            await http.close()

    try:
        await ask("HEAD")
    except AuthenticationError:
        return  # who may write to a bucket may not always look at it; the upload tells
    except HttpStatusError as error:
        if error.status != 404:
            raise
        try:
            await ask("PUT", _location(region))
        except HttpStatusError as refusal:
            if not any(code in refusal.detail for code in _MADE_MEANWHILE):
                raise


def _location(region: str) -> bytes:
    if region == "us-east-1":  # where buckets are made when nothing is said; saying it is an error
        return b""
    return (
        '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    ).encode()
