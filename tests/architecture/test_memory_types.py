"""What differs between memory types is written in their list, and nowhere else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from neuromem.domain.memory_types import MEMORY_TYPE_SPECS, MEMORY_TYPES, MemoryType, derived_types

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in ROOT.glob("neuromem-core/src/**/*.py") if "migrations" not in path.parts)
LIST = "neuromem-core/src/neuromem/domain/memory_types.py"
EXAMPLES = {
    "neuromem-core/src/neuromem/plugin/hookspecs.py",  # a plugin of somebody else, in a docstring
    "neuromem-core/src/neuromem/testing/samples.py",
}
IN_SQL = re.compile(rf"memory_type\W+(?:IN\W+)?'(?:{'|'.join(MEMORY_TYPES)})'")


def is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value in MEMORY_TYPES


def literals(path: Path) -> Iterator[int]:
    """Yield the lines that name a memory type: as an argument, in a comparison, in a collection, or in SQL."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.keyword(arg="memory_type", value=value) if is_name(value):
                yield value.lineno
            case ast.Compare() if "memory_type" in ast.unparse(node) and any(map(is_name, ast.walk(node))):
                yield node.lineno
            case ast.Set(elts=values) | ast.Tuple(elts=values) | ast.List(elts=values):
                if sum(map(is_name, values)) > 1:
                    yield node.lineno
            case ast.Dict(keys=keys) if sum(is_name(key) for key in keys if key is not None) > 1:
                yield node.lineno
            case ast.Constant(value=str(text)) if IN_SQL.search(text):
                yield node.lineno


def test_only_the_list_names_memory_types() -> None:
    named = {str(path.relative_to(ROOT)): [*literals(path)] for path in SOURCES}
    assert {path for path, lines in named.items() if lines} - EXAMPLES == {LIST}


def test_the_type_and_the_list_name_the_same() -> None:
    assert get_args(MemoryType) == MEMORY_TYPES
    assert len(set(MEMORY_TYPES)) == len(MEMORY_TYPES)


def test_what_is_concluded_is_not_extracted() -> None:
    assert not {spec.name for spec in MEMORY_TYPE_SPECS if spec.extracted} & set(derived_types())


def test_every_type_is_allowed_by_a_migration() -> None:
    versions = ROOT / "neuromem-core/src/neuromem/store/schema/migrations/versions"
    text = "\n".join(path.read_text(encoding="utf-8") for path in versions.glob("v*.py"))
    assert all(f"'{name}'" in text for name in MEMORY_TYPES)


def test_the_skill_describes_every_type() -> None:
    text = (ROOT / "docs/skill/SKILL.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in MEMORY_TYPES)


def test_a_type_that_is_added_to_the_list_is_known_everywhere() -> None:
    """In a process of its own: modules read the list once, when they are imported."""
    script = """
        from dataclasses import replace
        from neuromem.domain import memory_types as m
        vow = replace(m.GENERAL, name="vow", title="Vows", counted_as="vows")
        m.MEMORY_TYPE_SPECS = (*m.MEMORY_TYPE_SPECS, vow)
        m.MEMORY_TYPES = (*m.MEMORY_TYPES, "vow")
        m.RECALLED_TYPES = (*m.RECALLED_TYPES, "vow")
        m._BY_NAME["vow"] = vow

        from datetime import UTC, datetime
        from neuromem.cli.commands.recall import recall
        from neuromem.domain import validation
        from neuromem.domain.extraction import ExtractedMemory
        from neuromem.domain.memories import NewMemory
        from neuromem.ingest.extraction.validate import EXTRACTED_TYPES
        from neuromem.recall.prompt_block import TITLES
        from neuromem.recall.service import _kinds
        from neuromem.store.memories.write import statement_hash
        assert validation.memory_type("vow") == "vow"
        assert TITLES["vow"] == "Vows"
        assert EXTRACTED_TYPES["vow"].counted_as == "vows"
        assert _kinds("vow", None) == ("memory",)
        one, other = (NewMemory("I will", "vow", occurred_at=datetime(2024, n, 1, tzinfo=UTC)) for n in (1, 2))
        assert statement_hash(one) != statement_hash(other)
        assert any("vow" in getattr(option.type, "choices", ()) for option in recall.params)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
