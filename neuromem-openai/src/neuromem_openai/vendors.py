"""Which server a model belongs to, and where its address and key are looked up."""

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

    ``models`` are beginnings of its models' names, in lower case; ``variable`` begins the names of its
    environment variables; ``json_schema`` says whether it can be held to a schema.
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
    """Where to call, as whom, and what an authentication error should advise."""

    vendor: Vendor
    base_url: str
    api_key: str | None = field(repr=False)
    key_hint: str

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI itself and not something that speaks like it."""
        return _host(self.base_url) == _host(OPENAI.base_url)


def find_endpoint(
    model: str, api_key: str | None, base_url: str | None, env: Mapping[str, str] | None = None
) -> Endpoint:
    """Find the server of a model.

    The address: ``base_url``, else the environment variable of the vendor that the model's name belongs to,
    else ``OPENAI_BASE_URL`` (whoever sets it has one server for everything), else the vendor's own. The key:
    ``api_key``, else the vendor's variable, and for an address that is no vendor's also ``OPENAI_API_KEY``.
    Without a key a vendor's own address raises `AuthenticationError`; any other is called without.
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
