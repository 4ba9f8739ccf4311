"""Amazon S3 and servers with the same protocol, for neuromem."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromem_s3.storage import S3Storage

__all__ = ["S3Storage"]

_MODULES = {"S3Storage": "storage"}


def __getattr__(name: str) -> Any:
    """Import a class when it is first used: the hooks of this package have to stay quick to import."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
