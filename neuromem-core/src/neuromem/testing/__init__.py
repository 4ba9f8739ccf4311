"""For the tests of plugins and applications: fakes that mean something.

The fakes need nothing beside the core. The contracts to inherit (`neuromem.testing.contracts`) and the pytest
fixtures (`neuromem.testing.fixtures`) need the extra ``testing``.
"""

from __future__ import annotations

from neuromem.testing.fakes import FixedClock, HashEmbedding, MemoryStorage
from neuromem.testing.llms import RecordingLLM, ScriptedLLM

__all__ = ["FixedClock", "HashEmbedding", "MemoryStorage", "RecordingLLM", "ScriptedLLM"]
