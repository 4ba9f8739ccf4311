"""The kinds of background jobs: one list, from which the SQL of the queue is made.

Whoever adds a kind describes it here, writes a handler (`neuromem.jobs.handlers`), and gives it to the worker in
`neuromem.runtime`. Nothing else knows all the kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from neuromem.config import WorkSettings


def _one(settings: WorkSettings, /) -> int:
    return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """How the queue treats the jobs of one kind.

    Attributes:
        name: The value of the column ``jobs.kind``; users see it in `stats` and in ``neuromem jobs list``.
        capability: What a worker must have to do such jobs, or the part of it before the colon; see `capability_for`.
        batch_size: How many jobs of one user a worker claims together, by its settings.
        in_order: Whether the jobs of a user are done one claim after the other, the oldest first. A claim holds
            neighbors of one session (``payload.session``), and a job that failed holds up those after it.
        one_per_user: Whether a job has to wait while another of the same kind and user is being done.
        waits_for: Names of the kinds that come first: a job waits while one of them is being done for the user, or
            could be done now. It does not wait for those that failed.
        pending: Whether such a job means that recall does not yet find all that was stored (``pending`` of a
            result).
        exported: Whether such jobs are part of a user's export: what cannot be derived from the other data.
        outlives_user: Whether such a job stays when its user is deleted.
    """

    name: str
    capability: str
    batch_size: Callable[[WorkSettings], int] = _one
    in_order: bool = False
    one_per_user: bool = False
    waits_for: tuple[str, ...] = ()
    pending: bool = True
    exported: bool = False
    outlives_user: bool = False

    def capability_for(self, what: object) -> str:
        """Return what a worker must have to do such a job for one extractor, storage or embedding space."""
        return f"{self.capability}:{what}"


EMBED = JobKind(
    name="embed",  # embed one entry in one embedding space
    capability="space",
    batch_size=lambda settings: settings.embed_batch,
)
EXTRACT = JobKind(
    name="extract",  # extract memories from one message by one extractor
    capability="extract",
    batch_size=lambda settings: settings.extract_batch,
    in_order=True,  # what a message means depends on what was said before
    exported=True,
)
DIGEST = JobKind(
    name="digest",  # derive insights from a user's new memories; needs an LLM
    capability="digest",
    one_per_user=True,
    waits_for=("extract",),
    pending=False,
)
REEMBED = JobKind(
    name="reembed",  # embed the next span of a user's entries in a space that is being filled
    capability="fill",
    pending=False,
)
INDEX = JobKind(
    name="index",  # build a user's own HNSW index
    capability="index",
    pending=False,
)
OBJECT = JobKind(
    name="object",  # delete an object from a storage
    capability="storage",
    pending=False,
    outlives_user=True,
)

JOB_KINDS = (EMBED, EXTRACT, DIGEST, REEMBED, INDEX, OBJECT)


def kind_array(kinds: Iterable[JobKind | str]) -> str:
    """Return an SQL array of the names of kinds, for ``kind = ANY(...)`` and ``kind <> ALL(...)``."""
    names = (kind if isinstance(kind, str) else kind.name for kind in kinds)
    quoted = ", ".join(f"'{name}'" for name in names)
    return f"CAST(ARRAY[{quoted}] AS text[])"


IN_ORDER = kind_array(kind for kind in JOB_KINDS if kind.in_order)
NOT_PENDING = kind_array(kind for kind in JOB_KINDS if not kind.pending)
EXPORTED = kind_array(kind for kind in JOB_KINDS if kind.exported)
OUTLIVING_USERS = kind_array(kind for kind in JOB_KINDS if kind.outlives_user)
