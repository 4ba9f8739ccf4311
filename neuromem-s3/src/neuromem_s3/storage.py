"""A bucket as an object storage."""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore

from neuromem.errors import InputError, NotFoundError
from neuromem.plugin import ObjectStorage
from neuromem.plugin.http import Retry
from neuromem_s3.account import PROVIDER, find_account, host_of
from neuromem_s3.bucket import ensure_bucket, open_store
from neuromem_s3.failures import OBSTORE_ERRORS, is_missing_bucket, showable, translate
from neuromem_s3.parts import Parts, slices

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterator, Mapping

    from obstore import Attributes
    from obstore.store import S3Store

_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_MAX_KEY_BYTES = 1024
_MAX_EXPIRY = 7 * 24 * 3600  # a limit of the signature's version
_BAD_KEY = re.compile(r"(^|/)\.{0,2}(/|$)|[\x00-\x1f\x7f]")  # no segment is empty, '.' or '..'
_GIVE_UP = 10.0


class S3Storage(ObjectStorage):
    """Stores objects in a bucket of Amazon S3 or of any server with the same protocol.

    ::

        storage = S3Storage("http://localhost:9000", "access-key", "secret-key", bucket="files")

    Args:
        endpoint: The address of the server; None is ``S3_ENDPOINT``, ``AWS_ENDPOINT_URL_S3`` or
            ``AWS_ENDPOINT_URL``, else Amazon.
        access_key: The access key; without both keys ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, and at
            Amazon without those the role of the machine.
        secret_key: The secret key.
        bucket: The name of the bucket.
        region: The region of the bucket.
        session_token: The token of temporary keys; None is ``AWS_SESSION_TOKEN`` when the keys are the environment's.
        virtual_host: Put the bucket into the host instead of the path, which is Amazon's way and the default there.
        create_bucket: Create a missing bucket.
        timeout: Seconds without a byte from the server after which a call fails.
        retry: How often a failed call is repeated.
        env: The environment; None is that of the process.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        bucket: str = "neuromem",
        region: str = "us-east-1",
        *,
        session_token: str | None = None,
        virtual_host: bool | None = None,
        create_bucket: bool = False,
        timeout: float = 60.0,
        retry: Retry | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._account = find_account(
            endpoint,
            access_key,
            secret_key,
            session_token,
            bucket,
            region,
            virtual_host=virtual_host,
            env=env,
        )
        self._timeout = timeout
        self._retry = retry or Retry()
        self._to_create = create_bucket
        self._opened: S3Store | None = None

    def __repr__(self) -> str:
        return f"S3Storage({host_of(self._account.endpoint)!r}, bucket={self._account.bucket!r})"

    @property
    def provider(self) -> str:
        """Name of the vendor."""
        return PROVIDER

    async def upload(
        self, key: str, data: bytes | AsyncIterable[bytes], content_type: str | None = None
    ) -> str:
        """Store ``data`` under ``key`` and return the key; large objects and streams are sent in parts.

        Nothing is visible under the key before everything has arrived.
        """
        _check(key)
        await self._ensure_bucket()
        attributes: Attributes = {"Content-Type": content_type} if content_type else {}
        with self._errors(f"to upload {key!r}"):
            if isinstance(data, bytes) and len(data) <= _PART:
                await self._store.put_async(key, data, attributes=attributes, use_multipart=False)
            else:
                source = slices(data, _PART) if isinstance(data, bytes) else data
                await self._upload_parts(key, Parts(source), attributes)
        return key

    async def download(self, key: str) -> bytes:
        """Return the bytes stored under ``key``; raises `NotFoundError` when there are none."""
        _check(key)
        with self._errors(f"to download {key!r}"):
            try:
                result = await self._store.get_async(key)
                return bytes(await result.bytes_async())
            except FileNotFoundError as error:
                if is_missing_bucket(error):
                    raise
                raise NotFoundError(f"There is no object {key!r} in {self!r}.") from error

    async def delete(self, key: str) -> bool:
        """Delete the object ``key``; return whether it existed."""
        if not await self.exists(key):
            return False
        with self._errors(f"to delete {key!r}"):
            await self._store.delete_async(key)
        return True

    async def exists(self, key: str) -> bool:
        """Return whether there is an object ``key``."""
        _check(key)
        with self._errors(f"to look for {key!r}"):
            try:
                await self._store.head_async(key)
            except FileNotFoundError:
                return False
        return True

    async def presigned_url(self, key: str, expires_in: int = 3600) -> str:
        """Return a URL that fetches the object without keys for ``expires_in`` seconds, up to a week."""
        _check(key)
        if not 1 <= expires_in <= _MAX_EXPIRY:
            raise InputError(f"A URL can be valid for 1 to {_MAX_EXPIRY} seconds, not {expires_in}.")
        with self._errors(f"to sign a URL for {key!r}"):
            return await obstore.sign_async(self._store, "GET", key, timedelta(seconds=expires_in))

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._opened = None

    @property
    def _store(self) -> S3Store:
        if self._opened is None:
            self._opened = open_store(self._account, self._timeout, self._retry)
        return self._opened

    async def _upload_parts(self, key: str, parts: Parts, attributes: Attributes) -> None:
        async def put() -> None:
            await self._store.put_async(
                key,
                parts,
                attributes=attributes,
                use_multipart=True,
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )

        upload = asyncio.create_task(put())
        try:
            await asyncio.shield(upload)
        except asyncio.CancelledError:
            parts.stop()
            await asyncio.wait({upload}, timeout=_GIVE_UP)
            if upload.done() and not upload.cancelled():
                upload.exception()  # it is the stop that was asked for
            raise

    async def _ensure_bucket(self) -> None:
        if self._to_create:
            with self._errors(f"to sign a request for bucket {self._account.bucket!r}"):
                await ensure_bucket(self._store, self._account.region, self._timeout, self._retry)
            self._to_create = False

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OBSTORE_ERRORS as error:
            raise translate(error, f"{doing} at {self!r}") from showable(error, self._account.credentials)


def _check(key: str) -> None:
    if not key or _BAD_KEY.search(key) or len(key.encode("utf-8", "surrogatepass")) > _MAX_KEY_BYTES:
        raise InputError(
            f"{key[:80]!r} cannot be the key of an object: it has 1 to {_MAX_KEY_BYTES} bytes, no control "
            "characters, and no segment between slashes that is empty, '.' or '..'."
        )
