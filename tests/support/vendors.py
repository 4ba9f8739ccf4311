"""Stand-ins for the vendors' endpoints, on this machine."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.http_server import Reply, Request, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

DIMS = {"BAAI/bge-m3": 1024, "text-embedding-3-small": 1536, "text-embedding-3-large": 3072}
NOTHING = {"facts": [], "episodes": [], "profile": {}, "nothing": "small talk"}


@contextmanager
def local_vendors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the variables of OpenAI, DeepSeek and SiliconFlow lead to a server that answers anything."""

    def answer(request: Request) -> Reply:
        if request.path.endswith("/embeddings"):
            vector = [1.0] * DIMS[request.json["model"]]
            texts = request.json["input"]
            return Reply({"data": [{"index": i, "embedding": vector} for i in range(len(texts))]})
        return Reply({"choices": [{"message": {"content": json.dumps(NOTHING)}, "finish_reason": "stop"}]})

    with running_server() as server:
        server.always = answer
        for vendor in ("OPENAI", "DEEPSEEK", "SILICONFLOW"):
            monkeypatch.setenv(f"{vendor}_API_KEY", "key-of-a-test")
            monkeypatch.setenv(f"{vendor}_BASE_URL", server.url)
        yield
