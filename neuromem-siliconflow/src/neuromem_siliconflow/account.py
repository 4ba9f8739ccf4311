"""The HTTP client of SiliconFlow: its address and key."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from neuromem.errors import AuthenticationError
from neuromem.plugin.http import HttpClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.plugin.http import Retry

PROVIDER = "siliconflow"
BASE_URL = "https://api.siliconflow.cn/v1"
_KEY = "SILICONFLOW_API_KEY"
_HINT = f"Pass api_key=... or set {_KEY} to a valid key."


def open_client(
    api_key: str | None,
    base_url: str | None,
    *,
    timeout: float,
    retry: Retry | None,
    env: Mapping[str, str] | None,
) -> HttpClient:
    """Return a client for the address and key given, else for those of the environment.

    Raises:
        AuthenticationError: There is no key for SiliconFlow's own address.
    """
    env = os.environ if env is None else env
    base_url = base_url or env.get("SILICONFLOW_BASE_URL")
    api_key = api_key or env.get(_KEY)
    if not api_key and not base_url:
        raise AuthenticationError(f"There is no API key for SiliconFlow. {_HINT}", provider=PROVIDER)
    return HttpClient(
        base_url or BASE_URL,
        provider=PROVIDER,
        api_key=api_key,
        key_hint=_HINT,
        read_timeout=timeout,
        retry=retry,
    )
