"""What the operations on a user's data share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neuromem.domain.searchable import searchable_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from neuromem.config import Settings
    from neuromem.digest.service import DigestService
    from neuromem.domain.memories import NewMemory
    from neuromem.ingest.documents.objects import Objects
    from neuromem.ingest.reembedding import Reembedder
    from neuromem.ingest.reextraction import Reextraction
    from neuromem.plugin.context import Clock
    from neuromem.store.access import Accesses
    from neuromem.store.engine import Database


@dataclass(frozen=True, slots=True)
class Life:
    """The rooms that they work in."""

    database: Database
    settings: Settings
    clock: Clock
    wake: Callable[[], None]
    accesses: Accesses
    thinking: DigestService
    reembedder: Reembedder
    reextraction: Reextraction
    objects: Objects | None

    def tokens(self, new: NewMemory, language: str | None) -> Sequence[str]:
        """Return the words by which a memory is found."""
        return searchable_tokens(new.content, language or self.settings.language, occurred_at=new.occurred_at)


class Operations(ABC):
    """A part of what `NeuroMemory` offers."""

    @property
    @abstractmethod
    def _life(self) -> Life:
        """The rooms; raises `ClosedError` when it is not open."""
