"""Every error that neuromem raises, in one tree.

::

    NeuroMemError
    ├── InputError                 an argument cannot be used (also a ValueError)
    ├── NotFoundError              this user has no such thing (also a LookupError)
    ├── ConflictError              somebody else changed it first
    ├── ConfigurationError         settings or providers do not fit together
    ├── ClosedError                used before init() or after close()
    ├── PluginError                a plugin is broken, blocked, or breaks a rule
    ├── RecallError                a retriever or reranker failed or was late
    ├── BudgetError                a user's budget of tokens is spent
    ├── DatabaseError              PostgreSQL refused or failed
    │   ├── DatabaseUnavailableError   PostgreSQL cannot be reached
    │   ├── MigrationError             the schema is not what this version needs
    │   └── EmbeddingSpaceError        the schema was filled with another embedding model
    └── ProviderError              an embedding, LLM or storage provider failed
        ├── AuthenticationError        the key is missing or was refused
        ├── RateLimitError             too many calls (``retry_after`` in seconds, when known)
        ├── ProviderUnavailableError   timeout, lost connection, 5xx
        ├── ProviderResponseError      a reply that cannot be used
        └── StorageError               an object storage failed

Each message says what happened, to whom, and what to do next; the cause is chained.
"""

from __future__ import annotations


class NeuroMemError(Exception):
    """Anything that neuromem raises on purpose."""


class InputError(NeuroMemError, ValueError):
    """An argument cannot be used; nothing was stored."""


class NotFoundError(NeuroMemError, LookupError):
    """There is no such thing, or it belongs to another user."""


class ConflictError(NeuroMemError):
    """Somebody else changed it first; read it again and retry."""


class ConfigurationError(NeuroMemError):
    """Settings, providers or extras do not fit together."""


class ClosedError(NeuroMemError):
    """Used before ``init()`` or after ``close()``."""


class PluginError(NeuroMemError):
    """A plugin is broken, blocked, or breaks a rule of the registry."""


class RecallError(NeuroMemError):
    """A retriever or reranker failed or was late; ``arm`` names it."""

    def __init__(self, message: str, *, arm: str) -> None:
        super().__init__(message)
        self.arm = arm


class BudgetError(NeuroMemError):
    """A user's budget of tokens is spent; the work waits until it is renewed."""


class DatabaseError(NeuroMemError):
    """PostgreSQL refused or failed."""


class DatabaseUnavailableError(DatabaseError):
    """PostgreSQL cannot be reached."""


class MigrationError(DatabaseError):
    """The schema in the database is not the one this version needs."""


class EmbeddingSpaceError(DatabaseError):
    """The schema was filled with another embedding model."""


class ProviderError(NeuroMemError):
    """An embedding, LLM or storage provider failed; ``provider`` names it.

    ``retryable`` says whether the same call may succeed later.
    """

    retryable = False

    def __init__(self, message: str, *, provider: str) -> None:
        super().__init__(message)
        self.provider = provider


class AuthenticationError(ProviderError):
    """The key is missing or was refused."""


class RateLimitError(ProviderError):
    """The provider asks for fewer calls; ``retry_after`` is in seconds, or None."""

    retryable = True

    def __init__(self, message: str, *, provider: str, retry_after: float | None = None) -> None:
        super().__init__(message, provider=provider)
        self.retry_after = retry_after


class ProviderUnavailableError(ProviderError):
    """Timeout, lost connection or server error."""

    retryable = True


class ProviderResponseError(ProviderError):
    """The provider's reply cannot be used; ``reply`` is a model's reply as far as it came, None where there is none."""

    def __init__(self, message: str, *, provider: str, reply: str | None = None) -> None:
        super().__init__(message, provider=provider)
        self.reply = reply


class StorageError(ProviderError):
    """An object storage failed."""
