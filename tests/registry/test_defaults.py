"""Installing a package never sends data anywhere: what is chosen by default works without network and keys."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

USE = """
import asyncio, sys

def refuse(event, arguments):
    names = event in {"socket.getaddrinfo", "socket.gethostbyname"}
    if names or (event == "socket.connect" and isinstance(arguments[1], tuple)):  # a path is no network
        raise RuntimeError(f"a default uses the network: {event} {arguments[1:]}")

sys.addaudithook(refuse)
from neuromem import PluginRegistry

async def main():
    registry = PluginRegistry.discover()
    embedding = registry.choose_embedding().value
    assert len(await embedding.embed_query("Where does Alice work?")) == embedding.dims
    storage = registry.choose_storage()
    if storage is not None:
        await storage.value.upload("greeting", b"hello")
        assert await storage.value.download("greeting") == b"hello"
    llm = registry.choose_llm()
    assert llm is None or await llm.value.chat([{"role": "user", "content": "Hello"}])

asyncio.run(main())
"""


def test_the_installed_defaults_need_neither_network_nor_keys(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "NEUROMEM_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", USE], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
