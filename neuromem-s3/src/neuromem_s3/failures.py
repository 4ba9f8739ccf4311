"""Translates the errors of obstore into those of neuromem."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from neuromem.errors import AuthenticationError, ProviderError, ProviderUnavailableError, StorageError
from neuromem_s3.account import KEY_HINT, PROVIDER

if TYPE_CHECKING:
    from neuromem_s3.account import Credentials

OBSTORE_ERRORS = (BaseError, FileNotFoundError)
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_TAG = re.compile(r"<(Code|Message)>([^<]{1,300})</")
_REFUSED = ("AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch")
_PASSING = ("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown")


def is_missing_bucket(error: BaseException) -> bool:
    """Return whether the error says that the bucket does not exist."""
    return "NoSuchBucket" in str(error)


def translate(error: BaseException, doing: str) -> ProviderError:
    """Return the error of neuromem for an error of obstore; ``doing`` completes the sentence "S3 failed ..."."""
    text = str(error)
    said = dict(_TAG.findall(text))
    status = _STATUS.search(text)
    number = int(status.group(1)) if status else None
    what = f"S3 failed {doing}: {_brief(said, number, text)}"
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or said.get("Code") in _REFUSED:
        return AuthenticationError(f"{what}. {KEY_HINT}", provider=PROVIDER)
    if is_missing_bucket(error):
        advice = "Create the bucket, or pass create_bucket=True to have that done."
        return StorageError(f"{what}. {advice}", provider=PROVIDER)
    if _is_passing(number, said.get("Code"), text):
        advice = "Check the endpoint and the network, or try again later."
        return ProviderUnavailableError(f"{what}. {advice}", provider=PROVIDER)
    return StorageError(f"{what}. Check endpoint, region and bucket.", provider=PROVIDER)


def showable(error: BaseException, credentials: Credentials | None) -> BaseException | None:
    """Return the error as the cause to chain, or None when it contains a secret: some servers quote requests."""
    return None if credentials is not None and credentials.leaks_in(str(error)) else error


def _is_passing(status: int | None, code: str | None, text: str) -> bool:
    if status is not None:
        return status >= 500 or status in (408, 429) or code in _PASSING
    return "HTTP error" in text or "timed out" in text


def _brief(said: dict[str, str], status: int | None, text: str) -> str:
    if said or status:
        return " ".join(filter(None, (str(status or ""), said.get("Code"), said.get("Message"))))
    line = text.partition("\n")[0]  # what follows is debugging output
    return line.rpartition(" - ")[2][:300]
