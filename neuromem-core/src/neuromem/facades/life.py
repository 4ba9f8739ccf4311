"""What the operations on a user's data share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuromem.config import Settings
    from neuromem.digest.service import DigestService
    from neuromem.ingest.documents.object_store import Objects
    from neuromem.ingest.embedding.space_migration import SpaceMigration
    from neuromem.ingest.reextraction.service import ReextractionService
    from neuromem.plugin.context import Clock
    from neuromem.store.database.database import Database
    from neuromem.store.memories.access_counts import AccessCounts


@dataclass(frozen=True, slots=True)
class Life:
    """The rooms that they work in."""

    database: Database
    settings: Settings
    clock: Clock
    wake: Callable[[], None]
    accesses: AccessCounts
    thinking: DigestService
    reembedder: SpaceMigration
    reextraction: ReextractionService
    objects: Objects | None


class Operations(ABC):
    """A part of what `NeuroMemory` offers."""

    @property
    @abstractmethod
    def _life(self) -> Life:
        """The rooms; raises `ClosedError` when it is not open."""
