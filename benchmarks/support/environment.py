"""On what a number was measured: versions and machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.support.server import Place
    from neuromem.plugin import EmbeddingProvider


async def describe(where: Place, embedding: EmbeddingProvider) -> dict[str, str]:
    """Return what belongs beside every table."""
    connection = await where.connect()
    try:
        postgres = await connection.fetchval("SHOW server_version")
        pgvector = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    finally:
        await connection.close()
    revision = f" {embedding.revision}" if embedding.revision else ""
    return {
        "neuromem": version("neuromem"),
        "PostgreSQL": f"{postgres}, pgvector {pgvector or '?'}",
        "embedding": f"{embedding.provider}:{embedding.model}{revision}, {embedding.dims} dimensions",
        "Python": platform.python_version(),
        "libraries": ", ".join(
            f"{name} {version(name)}" for name in ("sqlalchemy", "asyncpg", "numpy", "bm25s")
        ),
        "machine": f"{_processor()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}",
    }


def headline(facts: dict[str, str]) -> str:
    """Return the facts as lines."""
    width = max(len(name) for name in facts)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in facts.items())


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
