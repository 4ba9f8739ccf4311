"""For the tests of plugins and applications: fakes that mean something."""

from __future__ import annotations

from neuromem.testing.fakes import HashEmbedding

__all__ = ["HashEmbedding"]
