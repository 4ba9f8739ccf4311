"""Finds the vendor of a model, and the address and key of its API."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from neuromem.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor with an OpenAI-compatible API.

    Attributes:
        name: How errors and settings call it.
        base_url: The address of its API.
        variable: The beginning of the names of its environment variables.
        models: Beginnings of the names of its models, in lower case.
        json_schema: Whether its models can be made to follow a JSON schema.
    """

    name: str
    base_url: str
    variable: str
    models: tuple[str, ...] = ()
    json_schema: bool = False

    @property
    def key_variable(self) -> str:
        """The environment variable with its key."""
        return f"{self.variable}_API_KEY"

    @property
    def base_variable(self) -> str:
        """The environment variable with its address."""
        return f"{self.variable}_BASE_URL"


OPENAI = Vendor("openai", "https://api.openai.com/v1", "OPENAI", json_schema=True)
VENDORS = (
    OPENAI,
    Vendor("deepseek", "https://api.deepseek.com", "DEEPSEEK", ("deepseek-",)),
    Vendor("moonshot", "https://api.moonshot.cn/v1", "MOONSHOT", ("kimi-", "moonshot-")),
    Vendor("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE", ("qwen",)),
    Vendor(
        "siliconflow",
        "https://api.siliconflow.cn/v1",
        "SILICONFLOW",
        ("baai/", "deepseek-ai/", "moonshotai/", "pro/", "qwen/", "thudm/", "zai-org/"),
    ),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address, the key for it, and the advice that an authentication error gives."""

    vendor: Vendor
    base_url: str
    api_key: str | None = field(repr=False)
    key_hint: str

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI itself and not a compatible server."""
        return _host(self.base_url) == _host(OPENAI.base_url)


def find_endpoint(
    model: str, api_key: str | None, base_url: str | None, env: Mapping[str, str] | None = None
) -> Endpoint:
    """Return address and key for a model.

    The address is ``base_url``, else the environment variable of the vendor that the model's name belongs to, else
    ``OPENAI_BASE_URL`` (for those who have one server for all models), else the vendor's own. The key is ``api_key``,
    else the vendor's variable, and for an address that is no vendor's also ``OPENAI_API_KEY``. A server that is no
    vendor's is called without a key when there is none.

    Raises:
        AuthenticationError: There is no key for the address of a vendor.
    """
    env = os.environ if env is None else env
    vendor = _of_address(base_url) or _of_model(model)
    if not base_url:
        base_url = env.get(vendor.base_variable)
        if not base_url and env.get(OPENAI.base_variable):
            vendor, base_url = OPENAI, env[OPENAI.base_variable]
    foreign = bool(base_url) and _of_address(base_url) is None
    key = api_key or env.get(vendor.key_variable) or (env.get(OPENAI.key_variable) if foreign else None)
    hint = f"Pass api_key=... or set {vendor.key_variable} to a valid key."
    if not key and not foreign:
        raise AuthenticationError(
            f"There is no API key for {model!r} at {vendor.name}. {hint} "
            "For a server of your own that needs none, pass base_url=... .",
            provider=vendor.name,
        )
    return Endpoint(vendor, base_url or vendor.base_url, key, hint)


def _of_address(base_url: str | None) -> Vendor | None:
    host = _host(base_url or "")
    return next((vendor for vendor in VENDORS if _host(vendor.base_url) == host), None)


def _of_model(model: str) -> Vendor:
    """Return the vendor with the longest matching beginning; OpenAI when none matches."""
    name = model.lower()
    known = ((len(start), vendor) for vendor in VENDORS for start in vendor.models if name.startswith(start))
    return max(known, key=lambda pair: pair[0], default=(0, OPENAI))[1]


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # the HTTP client explains what is wrong with it
        return None
