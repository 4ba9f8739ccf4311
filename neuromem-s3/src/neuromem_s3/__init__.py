"""Amazon S3 and everything that speaks its protocol, for neuromem."""

from __future__ import annotations

from neuromem_s3.storage import S3Storage

__all__ = ["S3Storage"]
