"""The one HTTP client: JSON in, JSON out, with retries, limits and errors that say what to do."""

from __future__ import annotations

import asyncio
import json
import logging
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx

from neuromem.errors import AuthenticationError, ConfigurationError, InputError
from neuromem.plugin.http.failures import Failure, excerpt, refused, unreachable, unusable, vendor_message
from neuromem.plugin.http.pool import Pools
from neuromem.plugin.http.retry import Retry, parse_retry_after
from neuromem.plugin.http.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

logger = logging.getLogger("neuromem.http")

_MAX_ERROR_BYTES = 64 * 1024
_LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=16)


class HttpClient:
    """Talks to one vendor's JSON API.

    ::

        http = HttpClient("https://api.example.com/v1", provider="example", api_key=key)
        reply = await http.post_json("/embeddings", {"model": "m", "input": ["hello"]})
        await http.close()

    Connection errors, time-outs, 429 and 5xx are tried again as ``retry`` says; what remains is raised as
    `AuthenticationError`, `RateLimitError`, `ProviderUnavailableError` or `ProviderResponseError`
    (`HttpStatusError` when the request was refused), never as an error of httpx. The key is in no repr, log
    or error; ``key_hint`` is what an `AuthenticationError` advises. Times are in seconds: ``connect_timeout``
    to connect, ``read_timeout`` of silence, ``attempt_timeout`` for one attempt in all. May be used from
    several event loops.
    """

    def __init__(
        self,
        base_url: str,
        *,
        provider: str,
        api_key: str | None = None,
        key_hint: str = "Check the API key.",
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        attempt_timeout: float = 600.0,
        retry: Retry | None = None,
        max_request_bytes: int = 32 * 1024 * 1024,
        max_response_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.provider = provider
        self._base = _parse(base_url, provider)
        self._key = _checked(api_key or "", provider, key_hint)
        self._key_hint = key_hint
        self._timeout = httpx.Timeout(read_timeout, connect=connect_timeout, pool=None)
        self._attempt_timeout = attempt_timeout
        self._retry = retry or Retry()
        self._max_request_bytes = max_request_bytes
        self._max_response_bytes = max_response_bytes
        self._pools = Pools(self._open)

    def __repr__(self) -> str:
        return f"HttpClient({_shown(self._base)!r}, provider={self.provider!r})"

    async def post_json(self, path: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Post a JSON object to ``base_url`` + ``path`` and return the JSON object of the answer."""
        body = json.dumps(payload, allow_nan=False, separators=(",", ":")).encode("ascii")
        reply = await self.send("POST", path, body, content_type="application/json")
        return self._object(reply, self._call("POST", path))

    async def send(
        self, method: str, path: str, content: bytes = b"", *, content_type: str | None = None
    ) -> bytes:
        """Send bytes to ``base_url`` + ``path`` and return the bytes of the answer.

        The call has to be one that may be repeated. `InputError` when ``content`` is over the limit.
        """
        if len(content) > self._max_request_bytes:
            raise InputError(
                f"A request to {self.provider} has {len(content):,} bytes and may have "
                f"{self._max_request_bytes:,}. Send less at once."
            )
        headers = {"Content-Type": content_type} if content_type else {}
        async with self._pools.lease() as client:
            for attempt in count(1):
                request = client.build_request(method, self._url(path), content=content, headers=headers)
                outcome = await self._attempt(client, request, self._call(method, path))
                if isinstance(outcome, bytes):
                    return outcome
                delay = self._retry.delay(attempt, outcome.wait) if outcome.again else None
                if delay is None:
                    raise outcome.exception(attempt) from outcome.cause
                logger.info("%s; next try in %.1f s", outcome.happened, delay)
                await asyncio.sleep(delay)
        raise AssertionError("count() has no end")

    async def close(self) -> None:
        """Close the connections once no call uses them; a later call opens new ones."""
        await self._pools.close()

    async def _attempt(self, client: httpx.AsyncClient, request: httpx.Request, call: str) -> bytes | Failure:
        try:
            async with asyncio.timeout(self._attempt_timeout):
                response = await client.send(request, stream=True)
                try:
                    return await self._answer(response, call)
                finally:
                    await response.aclose()
        except httpx.DecodingError as error:
            return unusable(self.provider, call, "a body that cannot be decoded", error)
        except (httpx.RequestError, TimeoutError) as error:
            return unreachable(self.provider, call, error)

    async def _answer(self, response: httpx.Response, call: str) -> bytes | Failure:
        limit = self._max_response_bytes if response.is_success else _MAX_ERROR_BYTES
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > limit:
                break
        if not response.is_success:
            wait = parse_retry_after(response.headers.get("Retry-After"))
            detail = self._quote(vendor_message(bytes(body)))
            return refused(self.provider, call, response.status_code, detail, wait, self._key_hint)
        if len(body) > limit:
            return unusable(self.provider, call, f"more than {limit:,} bytes")
        return bytes(body)

    def _object(self, reply: bytes, call: str) -> Mapping[str, Any]:
        try:
            value = json.loads(reply)
        except (ValueError, RecursionError) as error:
            what = f"something that is not JSON: {self._quote(reply.decode('utf-8', 'replace'))!r}"
            raise unusable(self.provider, call, what).exception() from error
        if not isinstance(value, dict):
            what = f"a JSON {type(value).__name__} where an object belongs"
            raise unusable(self.provider, call, what).exception()
        inner = value.get("error")
        if inner:  # some gateways answer 200 and put the error inside
            code = inner.get("code") if isinstance(inner, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 400
            detail = self._quote(vendor_message(reply))
            raise refused(self.provider, call, status, detail, None, self._key_hint).exception()
        return value

    def _open(self) -> httpx.AsyncClient:
        try:
            return httpx.AsyncClient(
                auth=_Bearer(self._key) if self._key.reveal() else None,
                headers={"User-Agent": "neuromem", "Accept": "application/json"},
                timeout=self._timeout,
                limits=_LIMITS,
            )
        except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
            raise ConfigurationError(
                f"No HTTP connection to {self.provider} can be made: {error}. Check the environment's "
                "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR."
            ) from error

    def _url(self, path: str) -> httpx.URL:
        return self._base.copy_with(path=self._base.path.rstrip("/") + path) if path else self._base

    def _call(self, method: str, path: str) -> str:
        return f"{method} {_shown(self._url(path))}"

    def _quote(self, text: str) -> str:
        # masked before it is cut: half a key would no longer be recognized
        return excerpt(self._key.mask(text[:_MAX_ERROR_BYTES]))


class _Bearer(httpx.Auth):
    """Puts the key on a request as late as possible, so that nothing else has to hold it."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request


def _parse(base_url: str, provider: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url.strip())
    except httpx.InvalidURL as error:
        raise ConfigurationError(
            f"The base_url of {provider} is not a URL: {error}. Pass one like 'https://api.example.com/v1'."
        ) from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(
            f"The base_url of {provider} is {_shown(url)!r}; pass one like 'https://api.example.com/v1'."
        )
    return url


def _checked(key: str, provider: str, key_hint: str) -> Secret:
    secret = Secret(key.strip())
    if not (secret.reveal().isascii() and secret.reveal().isprintable()):
        raise AuthenticationError(
            f"The API key of {provider} holds characters that no HTTP header can carry; perhaps something "
            f"was copied with it. {key_hint}",
            provider=provider,
        )
    return secret


def _shown(url: httpx.URL) -> str:
    """Return the URL without user, password, query and fragment: any of them may be a secret."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
