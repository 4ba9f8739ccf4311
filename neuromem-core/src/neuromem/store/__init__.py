"""The store: everything that neuromem keeps in PostgreSQL, and the only room with SQL in it.

May import the registry, `neuromem.plugin`, `neuromem.config`, `neuromem.domain` and what lies below them; its own rooms
import downwards only, in the order that the contract "store" in ``pyproject.toml`` lists.
Begin with `database/database.py` (transactions), then `memories/write.py` (how something is stored) and
`retrieval/reader.py` (how it is found).
"""
