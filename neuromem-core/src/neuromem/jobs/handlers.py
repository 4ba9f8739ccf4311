"""What a handler of jobs is; the handlers themselves are in `neuromem.ingest` and `neuromem.digest`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuromem.store.queue.jobs import Claim


class JobHandler(Protocol):
    """Does the jobs that need one capability."""

    @property
    def capability(self) -> str:
        """What the jobs need, as it stands in ``jobs.capability``."""
        ...

    async def handle(self, claim: Claim) -> Mapping[int, Exception]:
        """Do the jobs of a claim, and acknowledge them in the transaction that stores the result.

        Returns:
            The jobs that failed, each with its error; the others are acknowledged.

        Raises:
            Exception: The whole claim failed.
        """
        ...
