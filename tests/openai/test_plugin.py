"""What neuromem-openai declares."""

from __future__ import annotations

import subprocess
import sys

import pytest

from neuromem.errors import ConfigurationError
from neuromem.plugin import Context
from neuromem_openai import OpenAIEmbedding, OpenAILLM, plugin


def test_providers_are_built_from_name_options_and_environment() -> None:
    (embedding,) = plugin.neuromem_embeddings()
    (llm,) = plugin.neuromem_llms()
    assert (embedding.name, llm.name) == ("openai", "openai")
    assert not embedding.default
    assert not llm.default
    options = {"dims": 256, "base_url": "http://localhost:1234/v1", "max_inputs": 10}
    built = embedding.factory(Context(model="text-embedding-3-large", options=options, env={}))
    assert isinstance(built, OpenAIEmbedding)
    assert (built.model, built.dims) == ("text-embedding-3-large", 256)
    chat = llm.factory(Context(options=options, env={}))
    assert isinstance(chat, OpenAILLM)
    assert chat.model == "gpt-4o-mini"
    assert "localhost:1234" in repr(chat)
    deep = llm.factory(Context(model="deepseek-chat", env={"DEEPSEEK_API_KEY": "key"}))
    assert deep.provider == "deepseek"


def test_an_unknown_option_is_named() -> None:
    (embedding,) = plugin.neuromem_embeddings()
    with pytest.raises(ConfigurationError, match=r"'dimensions'.*dims"):
        embedding.factory(Context(options={"dimensions": 3}, env={}))


def test_the_hooks_load_nothing_heavy() -> None:
    code = (
        "import sys, neuromem_openai.plugin as p; p.neuromem_llms(); p.neuromem_embeddings(); "
        "print('httpx' in sys.modules); "
        "from neuromem_openai import OpenAILLM; print('httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
