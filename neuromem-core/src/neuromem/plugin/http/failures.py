"""What went wrong on the wire, in neuromem's own errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from neuromem.errors import (
    AuthenticationError,
    ProviderError,
    ProviderResponseError,
    ProviderUnavailableError,
    RateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_EXCERPT = 300
_NOT_PRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_PASSING = frozenset({408, 425, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529})
_EMPTY_ACCOUNT = re.compile(r"insufficient[_ ](quota|balance|funds)|billing|arrears", re.IGNORECASE)


class HttpStatusError(ProviderResponseError):
    """The server refused the request as such; ``status`` is its code, ``detail`` its own words.

    For callers that can ask in another way. Keys are masked in ``detail``.
    """

    def __init__(self, message: str, *, provider: str, status: int, detail: str) -> None:
        super().__init__(message, provider=provider)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt: ``again`` says whether another one may help, ``wait`` what the server asked for."""

    error: Callable[[str], ProviderError]
    happened: str
    advice: str
    again: bool = False
    wait: float | None = None
    cause: BaseException | None = None

    def exception(self, attempts: int = 1) -> ProviderError:
        """Return the error to raise from ``cause``, saying how often the call was tried."""
        tried = f" (tried {attempts} times)" if attempts > 1 else ""
        return self.error(f"{self.happened}{tried}. {self.advice}")


def refused(provider: str, call: str, status: int, detail: str, wait: float | None, key_hint: str) -> Failure:
    """Return what a status other than 2xx means; ``detail`` is the server's own words, keys masked."""
    happened = f"{provider} answered {call} with {status}" + (f": {detail!r}" if detail else "")
    if status in (401, 403):
        return Failure(partial(AuthenticationError, provider=provider), happened, key_hint)
    limited = partial(RateLimitError, provider=provider, retry_after=wait)
    if status == 402 or (status == 429 and _EMPTY_ACCOUNT.search(detail)):
        return Failure(limited, happened, "The account's quota is used up: top it up, then call again.")
    if status == 429:
        return Failure(limited, happened, "Make fewer calls at once, or have the limit raised.", True, wait)
    if status in _PASSING:
        unavailable = partial(ProviderUnavailableError, provider=provider)
        return Failure(unavailable, happened, "Try again later.", True, wait)
    wrong = partial(HttpStatusError, provider=provider, status=status, detail=detail)
    elsewhere = "base_url, " if status < 400 or status == 404 else ""
    return Failure(wrong, happened, f"Check {elsewhere}the name of the model and what was asked of it.")


def unreachable(provider: str, call: str, cause: BaseException) -> Failure:
    """Return what a time-out or a broken connection means."""
    what = excerpt(str(cause))
    return Failure(
        partial(ProviderUnavailableError, provider=provider),
        f"{provider} did not answer {call}: {type(cause).__name__}" + (f" ({what})" if what else ""),
        "Check base_url, the network and the proxy settings, or try again later.",
        again=True,
        cause=without_frames(cause),
    )


def unusable(provider: str, call: str, what: str, cause: BaseException | None = None) -> Failure:
    """Return what an answer that cannot be read means."""
    return Failure(
        partial(ProviderResponseError, provider=provider),
        f"{provider} answered {call} with {what}",
        "Check that base_url is the address of the API.",
        cause=cause and without_frames(cause),
    )


def without_frames(error: BaseException) -> BaseException:
    """Return the error without its frames: those of an HTTP library hold the headers, and so the key."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def excerpt(text: str) -> str:
    """Return the beginning of a foreign text, on one line and without control characters."""
    line = _NOT_PRINTABLE.sub(" ", text).strip()
    return line if len(line) <= _EXCERPT else line[:_EXCERPT] + "..."


def vendor_message(body: bytes) -> str:
    """Return what the body of an error says, whichever way the vendor writes it: text, code, type."""
    text = body.decode("utf-8", "replace")
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(said, dict):
        said = said.get("error") or said
    if isinstance(said, dict):
        parts = [said.get(key) for key in ("message", "msg", "detail", "code", "type")]
        words = [part if isinstance(part, str) else json.dumps(part) for part in parts if part]
        return " / ".join(dict.fromkeys(words)) or text
    return said if isinstance(said, str) else text
