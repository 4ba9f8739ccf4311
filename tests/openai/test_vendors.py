"""Which server a model is asked at, and with which key."""

from __future__ import annotations

import pytest

from neuromem.errors import AuthenticationError, ConfigurationError
from neuromem_openai import OpenAILLM
from neuromem_openai.vendors import VENDORS, find_endpoint

KEYS = {vendor.key_variable: f"key-of-{vendor.name}" for vendor in VENDORS}


@pytest.mark.parametrize(
    ("model", "vendor"),
    [
        ("gpt-4o-mini", "openai"),
        ("something-new", "openai"),
        ("deepseek-chat", "deepseek"),
        ("deepseek-ai/DeepSeek-V3", "siliconflow"),
        ("Qwen/Qwen3-8B", "siliconflow"),
        ("Pro/deepseek-ai/DeepSeek-R1", "siliconflow"),
        ("qwen-plus", "dashscope"),
        ("kimi-k2", "moonshot"),
    ],
)
def test_the_models_name_decides(model: str, vendor: str) -> None:
    endpoint = find_endpoint(model, None, None, KEYS)
    assert endpoint.vendor.name == vendor
    assert endpoint.base_url == endpoint.vendor.base_url
    assert endpoint.api_key == f"key-of-{vendor}"


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_a_missing_key_names_its_variable(vendor: object) -> None:
    model = next((start for one in VENDORS if one is vendor for start in one.models), "gpt-4o-mini")
    with pytest.raises(AuthenticationError, match="API_KEY") as caught:
        OpenAILLM(model=f"{model}x", env={})
    assert caught.value.provider == getattr(vendor, "name", None)


def test_an_address_given_wins_and_needs_no_key() -> None:
    endpoint = find_endpoint("llama3", None, "http://localhost:11434/v1", {})
    assert (endpoint.base_url, endpoint.api_key) == ("http://localhost:11434/v1", None)
    assert find_endpoint("llama3", "given", "http://localhost:11434/v1", KEYS).api_key == "given"


def test_a_vendors_address_takes_the_vendors_key() -> None:
    endpoint = find_endpoint("my-finetune", None, "https://api.deepseek.com/beta", KEYS)
    assert endpoint.api_key == "key-of-deepseek"
    with pytest.raises(AuthenticationError, match="DEEPSEEK_API_KEY"):
        find_endpoint("my-finetune", None, "https://api.deepseek.com/beta", {"OPENAI_API_KEY": "key"})


def test_the_vendors_variable_is_nearer_than_openais() -> None:
    env = {**KEYS, "OPENAI_BASE_URL": "http://one", "DEEPSEEK_BASE_URL": "http://two"}
    assert find_endpoint("deepseek-chat", None, None, env).base_url == "http://two"
    assert find_endpoint("gpt-4o", None, None, env).base_url == "http://one"


def test_openais_variable_is_one_server_for_everything() -> None:
    env = {**KEYS, "OPENAI_BASE_URL": "http://proxy"}
    endpoint = find_endpoint("deepseek-chat", None, None, env)
    assert (endpoint.base_url, endpoint.api_key) == ("http://proxy", "key-of-openai")


def test_an_address_that_is_none_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        OpenAILLM("key", base_url="http://[::1")


def test_the_key_is_not_in_the_endpoints_repr() -> None:
    assert "key-of-openai" not in repr(find_endpoint("gpt-4o", None, None, KEYS))
