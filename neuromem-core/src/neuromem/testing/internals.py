"""What lies behind an open NeuroMemory, for tests and benchmarks that look at rows, jobs or statements.

Nothing here is public API: an application has no use for it, and it changes with the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuromem.store.queue.claim import claim_jobs

if TYPE_CHECKING:
    from neuromem.jobs.worker import Worker
    from neuromem.memory import NeuroMemory
    from neuromem.store.database.database import Database


def database_of(memory: NeuroMemory) -> Database:
    """Return the database of an open NeuroMemory, to look at its rows or to prepare them.

    Raises:
        ClosedError: It is not open.
    """
    return memory._open_runtime.database


def worker_of(memory: NeuroMemory) -> Worker:
    """Return the worker of an open NeuroMemory, to stop and start it, or to wait for it without releasing more jobs.

    Raises:
        ClosedError: It is not open.
    """
    return memory._open_runtime.worker


async def flush_access_counts(memory: NeuroMemory, user_id: str | None = None) -> None:
    """Write the access counts that are buffered, of one user or of all; otherwise that happens some seconds later."""
    await memory._open_runtime.accesses.flush(user_id)


async def serve_one_claim(memory: NeuroMemory, capability: str, kind: str, *, most: int = 1) -> bool:
    """Claim jobs and serve them, as the worker does with one claim; use it with ``worker=False``.

    Args:
        memory: An open NeuroMemory.
        capability: What the jobs need, such as "extract:llm".
        kind: The kind of the jobs, such as "extract".
        most: How many jobs the claim may have.

    Returns:
        False when there was no job.

    Raises:
        AssertionError: A job failed by itself.
    """
    runtime = memory._open_runtime
    claim = await claim_jobs(runtime.database, [capability], after="", most={kind: most}, seconds=60)
    if claim is None:
        return False
    failed = await runtime.worker.handlers[capability].handle(claim)
    assert not failed, failed
    return True
