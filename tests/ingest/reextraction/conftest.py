"""The model and the NeuroMemory of the tests of extraction."""

from __future__ import annotations

from tests.ingest.extraction.conftest import model, nm

__all__ = ["model", "nm"]
