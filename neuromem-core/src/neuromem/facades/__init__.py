"""What an open NeuroMemory offers: each facade checks its arguments and calls a service or the store.

`Conversations`, `Files`, `Graph` and `KeyValue` are attributes of a NeuroMemory; the methods of the others are methods
of NeuroMemory itself. A facade may import `digest`, `ingest`, `recall`, `jobs` and `store`, and no other facade. Begin
reading at `memories` and `recall`; `neuromem.runtime` makes them all.
"""
